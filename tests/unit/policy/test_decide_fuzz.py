"""decide against an oracle that tries every rule and every entry of it, one by one."""

from dataclasses import replace
from fnmatch import fnmatchcase
from itertools import product

from hypothesis import given
from hypothesis import strategies as st
from unit.policy.policies import policies, requests

from enforcer.policy.compile import compile_policy, connect_url_rule
from enforcer.policy.decide import decide
from enforcer.policy.model import REWRITES, Action, Match, Mode, Plane, Protocol, Rule


def _below(name, suffix):
    return bool(name) and f".{name}".endswith(f".{suffix}")


def _name_fits(match, name):
    """How each entry of the name part fits, and whether it stands in a list."""
    for fits in _name_entries(match):
        if fit := fits(name):
            yield fit, False
    for listed in match.lists:
        for wanted in listed.exact:
            if name == wanted:
                yield (len(wanted.split(".")), 3), True
        for wanted in listed.suffix:
            if _below(name, wanted):
                yield (len(wanted.split(".")), 1), True
        for wanted in listed.below:
            if _below(name, wanted) and name != wanted:
                yield (len(wanted.split(".")), 1), True


def _name_entries(match):
    if not match.has_name:
        yield lambda name: (0, 0)
    for wanted in match.names:
        yield lambda name, w=wanted: (len(w.split(".")), 3) if name == w else None
    for wanted in match.suffixes:
        yield lambda name, w=wanted: (len(w.split(".")), 1) if _below(name, w) else None
    for wanted in match.patterns:
        globs = wanted.split(".")
        literal = [label for label in globs if "*" not in label]

        def fits(name, globs=globs, literal=literal):
            labels = name.split(".")
            same = len(labels) == len(globs) and all(map(fnmatchcase, labels, globs))
            return (len(literal), 2) if name and same else None

        yield fits


def _bits(network):
    return network.prefixlen + (97 if network.version == 4 else 1)


def _ranges(networks, fact, lenient):
    """For each range of a match: how specific it is, or None where it does not fit."""
    for network in networks:
        fits = lenient if fact is None else fact in network
        yield _bits(network) if fits else None


def _keys(rule, request):
    """The specificity of every way in which a rule matches."""
    match, lenient = rule.match, rule.action is not Action.BLOCK
    clients = list(_ranges(match.clients, request.client, False)) or [0]
    addresses = list(_ranges(match.addresses, request.address, lenient)) or [0]
    ports = [
        65536 - (p.last - p.first)
        if (lenient if request.port is None else request.port in range(p.first, p.last + 1))
        else None
        for p in match.ports
    ] or [0]
    protocols = [
        1 if (lenient if request.protocol is None else request.protocol is p) else None
        for p in match.protocols
    ] or [0]
    names = list(_name_fits(match, request.name))
    on_dns = request.plane is Plane.DNS
    lookups = lenient and on_dns
    nsdnames = [
        len(suffix.split(".")) if _served_below(request.nsdnames, suffix, lookups) else None
        for suffix in match.nsdnames
    ] or [0]
    nsips = [
        bits for fact in (request.nsips or [None]) for bits in _ranges(match.nsips, fact, lookups)
    ] or [0]
    qtypes = [
        1
        if (lookups if request.qtype is None else request.qtype == q)
        or (request.qtype == 255 and rule.action is Action.BLOCK)
        else None
        for q in match.qtypes
    ] or [0]
    windows = [1 if _holds(w, request.time_s) else None for w in match.windows] or [0]
    answers = rule.action is Action.BLOCK and rule.refusal in REWRITES
    planes = [1 if request.plane is p else None for p in match.planes] or [0]
    if answers:
        planes = [1 if on_dns and (not match.planes or Plane.DNS in match.planes) else None]
    for client, (name, listed), address, *rest in product(
        clients, names, addresses, nsdnames, nsips, qtypes, windows, ports, protocols, planes
    ):
        key = (client, name, address, *rest)
        if None not in key:
            yield (*key, -rule.rank if listed or rule.zone else 0, not rule.from_pack)


def _served_below(servers, suffix, unknown):
    return unknown if servers is None else any(_below(name, suffix) for name in servers)


def _holds(window, time_s):
    """Minute by minute back to where it began."""
    minute = int(time_s // 60)
    length = (window.end_min - window.start_min - 1) % 1440 + 1
    return any(
        m % 1440 == window.start_min and (m // 1440 + 3) % 7 in window.days
        for m in range(minute - length + 1, minute + 1)
    )


def _ssh_rule(url):
    names = (url.host, *url.region_hosts)
    match = Match(names=names, protocols=(Protocol.SSH,))
    return Rule(f"connect-url:{url}:ssh", Action.BLOCK, match, "", url.source, from_pack=True)


def _url_of(policy, request):
    hosts = [
        url
        for url in sorted(policy.connect_urls, key=lambda url: f"connect-url:{url}")
        if request.name in (url.host, *url.region_hosts) and request.port in (None, url.port)
    ]
    address = request.address
    holding = [
        url
        for url in hosts
        if address is None or not url.addresses or any(address in n for n in url.addresses)
    ]
    return next(iter(holding or hosts), None)


def oracle(policy, request):
    """The id of the rule that should win, conditions of a Connect URL left out."""
    url = _url_of(policy, request)
    if url:
        rules = [rule for rule in policy.rules if not rule.from_pack]
        url_rule = connect_url_rule(url)
        rules.append(url_rule)
    else:
        url_rule = None
        rules = [*policy.rules, *map(_ssh_rule, policy.connect_urls)]
    keyed = [(key, rule) for rule in rules for key in _keys(rule, request)]
    if not keyed:
        return "default"
    first_zone = min((rule.zone for _, rule in keyed if rule.zone), default=0)
    keyed = [(key, rule) for key, rule in keyed if rule.zone in (0, first_zone)]
    best = max(key for key, _ in keyed)
    winners = {rule.id: rule for key, rule in keyed if key == best}
    if url_rule and url_rule.id in winners:
        return url_rule.id
    blocks = [rule_id for rule_id, rule in winners.items() if rule.action is Action.BLOCK]
    return min(blocks or winners)


@given(policies(), requests())
def test_the_most_specific_rule_wins(policy, request_):
    request = request_._replace(certificate=None)
    verdict = decide(compile_policy(policy), request)
    wanted = oracle(policy, request)
    if verdict.connect_url and verdict.blocks and verdict.rule.startswith("connect-url:"):
        # A condition of the Connect URL spoke, over a rule that lets through.
        winner = next((rule for rule in policy.rules if rule.id == wanted), None)
        assert winner is None or winner.action is not Action.BLOCK
    elif verdict.rule.endswith(":ssh"):
        assert wanted.endswith(":ssh")
    else:
        assert verdict.rule == wanted


@given(policies(), requests(known=True))
def test_no_two_rules_of_one_origin_are_equal_when_all_is_known(policy, request_):
    for pack in (True, False):
        rules = [rule for rule in policy.rules if rule.from_pack is pack and not rule.zone]
        if not pack:
            rules += map(connect_url_rule, policy.connect_urls)
        best = [max(keys) for keys in (list(_keys(rule, request_)) for rule in rules) if keys]
        assert len(set(best)) == len(best)


@given(policies(), requests(), st.randoms(use_true_random=False))
def test_the_order_of_rules_and_connect_urls_never_matters(policy, request_, random):
    rules, urls = list(policy.rules), list(policy.connect_urls)
    random.shuffle(rules)
    random.shuffle(urls)
    shuffled = replace(policy, rules=tuple(rules), connect_urls=tuple(urls))
    left = decide(compile_policy(policy), request_)
    right = decide(compile_policy(shuffled), request_)
    assert left._replace(rule="") == right._replace(rule="")
    if not left.rule.endswith(":ssh"):
        assert left.rule == right.rule


@given(policies(), requests())
def test_the_same_request_always_gets_the_same_verdict(policy, request_):
    compiled = compile_policy(policy)
    verdict = decide(compiled, request_)
    assert decide(compiled, request_) == verdict
    assert decide(compile_policy(policy), request_) == verdict
    assert verdict.rule
    assert verdict.reason


@given(policies(), st.text(max_size=300), requests())
def test_any_text_for_a_name_gets_a_verdict(policy, name, request_):
    assert decide(compile_policy(policy), request_._replace(name=name)).rule


@given(policies(), requests())
def test_monitor_mode_never_blocks_and_is_enforce_otherwise(policy, request_):
    enforced = decide(compile_policy(policy), request_)
    monitored = decide(compile_policy(replace(policy, mode=Mode.MONITOR)), request_)
    assert not monitored.blocks
    if enforced.blocks:
        assert monitored.action is Action.MONITOR
        assert monitored.reason == f"would block: {enforced.reason}"
    else:
        assert (monitored.action, monitored.reason) == (enforced.action, enforced.reason)
    same = {"action": Action.ALLOW, "reason": "", "mode": Mode.ENFORCE}
    assert monitored._replace(**same) == enforced._replace(**same)


@given(policies(), requests())
def test_a_connect_url_never_passes_unverified(policy, request_):
    """Let through means: only a lookup, or to be verified, or verified."""
    verdict = decide(compile_policy(policy), request_)
    if verdict.connect_url and not verdict.blocks and request_.plane is not Plane.DNS:
        assert verdict.verify is not None or request_.certificate is not None
        assert request_.protocol in (None, Protocol.TLS)
