"""Policy to CompiledPolicy: indexes by name; rules that cannot work are refused.

Everything that can be known at load is made here, once.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from enforcer.policy.addresses import longest_prefix
from enforcer.policy.client_class import ClientClasses
from enforcer.policy.index import Candidate, NameIndex, NamelessIndex
from enforcer.policy.model import (
    REWRITES,
    Action,
    Address,
    ConnectUrl,
    Match,
    Mode,
    Plane,
    Policy,
    PortRange,
    Protocol,
    Request,
    Rule,
    Verdict,
)
from enforcer.policy.source import PolicyError, Problem
from enforcer.policy.ties import find_ties


class ConnectUrlRule(NamedTuple):
    url: ConnectUrl
    rule: Rule


@dataclass(frozen=True, slots=True)
class CompiledPolicy:
    """A policy that planes ask; immutable, swapped whole on reload."""

    policy: Policy
    named: NameIndex
    nameless: NamelessIndex | None
    connect_urls: dict[str, tuple[ConnectUrlRule, ...]]
    hint: str
    # What each rule says when it decides and nothing else has a say, by its id.
    verdicts: dict[str, Verdict]
    # Names on which clients in no range get one verdict, whatever else is known.
    settled: dict[str, Verdict]
    warnings: tuple[Problem, ...] = ()
    clients: ClientClasses = field(default_factory=lambda: ClientClasses(()))
    has_ns_triggers: bool = False
    has_nsip_triggers: bool = False
    # Whether an address can change a verdict: a rule's range, a dedicated IP.
    has_address_triggers: bool = True
    depends_on_time: bool = False

    def client_class(self, client: Address | None) -> int:
        """A number that two clients share only if every verdict on them is the same."""
        return self.clients.of(client)

    def is_guarded(self, name: str) -> bool:
        """Whether the policy is about this name: a Connect URL's host, or a rule's name part."""
        return name in self.connect_urls or bool(self.named.find(name))

    def candidates(self, request: Request) -> list[Candidate]:
        """Every rule that may fit; Connect URLs are asked for apart."""
        found = self.named.find(request.name)
        if self.nameless:
            found += self.nameless.find(request)
        return found

    def connect_url_rule(self, request: Request) -> Rule | None:
        """The Connect URL that a request belongs to, as a rule.

        While the port is not known, that is any of the host's, best one that may have
        the address.
        """
        found = None
        for url, rule in self.connect_urls.get(request.name, ()):
            if request.port is None or request.port == url.port:
                if allows_address(url, request.address):
                    return rule
                found = found or rule
        return found

    def connect_url(self, name: str, port: int | None) -> ConnectUrl | None:
        """The Connect URL of a host and port; any of the host's when the port is unknown."""
        for url, _ in self.connect_urls.get(name, ()):
            if port is None or port == url.port:
                return url
        return None


def compile_policy(policy: Policy) -> CompiledPolicy:
    """Build the indexes. Raises PolicyError for ties, and for rules that cannot work."""
    urls = [ConnectUrlRule(url, connect_url_rule(url)) for url in policy.connect_urls]
    ssh_rules = tuple(_ssh_rules(policy.connect_urls))
    rules = (*ssh_rules, *policy.rules)
    problems = [*_unusable(policy), *find_ties([*(rule for _, rule in urls), *rules])]
    if problems:
        raise PolicyError(problems)
    nameless = [rule for rule in rules if not rule.match.has_name]
    hosts: defaultdict[str, list[ConnectUrlRule]] = defaultdict(list)
    for found in sorted(urls, key=lambda found: found.rule.id):
        for name in dict.fromkeys(found.rule.match.names):
            hosts[name].append(found)
    named = NameIndex(rule for rule in rules if rule.match.has_name)
    verdicts = _verdicts((policy.default, *(rule for _, rule in urls), *rules), policy.mode)
    clients = ClientClasses(network for rule in rules for network in rule.match.clients)
    settled = dict(_settled(named, verdicts))
    return CompiledPolicy(
        policy=policy,
        named=named,
        nameless=NamelessIndex(nameless) if nameless else None,
        connect_urls={name: tuple(rules) for name, rules in hosts.items()},
        hint=" or ".join(map(str, policy.connect_urls)),
        verdicts=verdicts,
        settled={name: verdict for name, verdict in settled.items() if name not in hosts},
        clients=clients,
        has_address_triggers=any(rule.match.addresses for rule in rules)
        or any(url.addresses for url in policy.connect_urls),
        has_ns_triggers=any(rule.match.nsdnames or rule.match.nsips for rule in rules),
        has_nsip_triggers=any(rule.match.nsips for rule in rules),
        depends_on_time=any(rule.match.windows for rule in rules),
    )


def enforced(policy: CompiledPolicy) -> CompiledPolicy:
    """The same policy as if its mode were ``enforce``."""
    if policy.policy.mode is Mode.ENFORCE:
        return policy
    return compile_policy(replace(policy.policy, mode=Mode.ENFORCE))


def _settled(named: NameIndex, verdicts: dict[str, Verdict]) -> Iterator[tuple[str, Verdict]]:
    for name, candidates in named.settled():
        closest = max(candidates, key=lambda candidate: candidate.key or ())
        yield name, verdicts[closest.rule.id]


def _verdicts(rules: Iterable[Rule], mode: Mode) -> dict[str, Verdict]:
    return {rule.id: verdict_of(rule, mode) for rule in rules}


def verdict_of(rule: Rule, mode: Mode) -> Verdict:
    """What a rule says by itself. In monitor mode a block lets through and says so."""
    would_block = mode is Mode.MONITOR and rule.action is Action.BLOCK
    return Verdict(
        action=Action.MONITOR if would_block else rule.action,
        rule=rule.id,
        reason=f"would block: {rule.reason}" if would_block else rule.reason,
        source=rule.source,
        mode=mode,
        refusal=rule.refusal,
        sinkhole=rule.sinkhole,
        cname=rule.cname,
        records=rule.records,
        passthru=rule.passthru,
    )


def connect_url_rule(url: ConnectUrl) -> Rule:
    """A Connect URL as the rule that it is."""
    return Rule(
        id=f"connect-url:{url}",
        action=Action.ALLOW,
        match=Match(names=(url.host, *url.region_hosts), ports=(PortRange(url.port, url.port),)),
        reason=f"the company's Connect URL {url}",
        source=url.source,
        connect_url=url,
    )


def _ssh_rules(urls: Iterable[ConnectUrl]) -> Iterator[Rule]:
    """SSH to the hosts of Connect URLs, blocked on every port.

    ngrok takes ``ssh -R`` on the addresses of every ingress, and SSH names no host, so
    that a Connect URL's address is as good for it as the default's, whoever's account it
    is. Counts as a pack's rule: the policy's own may allow it.
    """
    taken: set[str] = set()
    for url in urls:
        names = tuple(dict.fromkeys((url.host, *url.region_hosts)))
        names = tuple(name for name in names if name not in taken)
        taken.update(names)
        if names:
            yield Rule(
                id=f"connect-url:{url}:ssh",
                action=Action.BLOCK,
                match=Match(names=names, protocols=(Protocol.SSH,)),
                reason=f"SSH does not say that it wants {url.host}, so any account could use it",
                source=url.source,
                from_pack=True,
            )


def allows_address(url: ConnectUrl, address: Address | None) -> bool:
    """Whether an address may answer for a Connect URL, as far as is known."""
    return address is None or not url.addresses or longest_prefix(address, url.addresses) > 0


def _unusable(policy: Policy) -> Iterator[Problem]:
    seen: dict[str, Rule] = {"default": policy.default}
    for rule in policy.rules:
        if rule.id in seen:
            yield Problem(
                rule.source,
                rule.id,
                f"this id is taken at {seen[rule.id].source}",
                "give each rule an id of its own",
            )
        seen[rule.id] = rule
        if rule.match == Match():
            yield Problem(
                rule.source,
                rule.id,
                "it has nothing to match, so it would match everything",
                f"write default: {rule.action} for that, or say what it matches",
            )
        if rule.match.planes and Plane.DNS not in rule.match.planes:
            yield from _no_lookup(rule)


def _no_lookup(rule: Rule) -> Iterator[Problem]:
    """What only lookups have, in a rule that is not for them."""
    rewrites = rule.action is Action.BLOCK and rule.refusal in REWRITES
    what = f"{rule.refusal} answers" if rewrites else "qtypes are of" if rule.match.qtypes else ""
    if what:
        planes = ", ".join(rule.match.planes)
        yield Problem(
            rule.source,
            rule.id,
            f"{what} lookups, and its planes ({planes}) have none, so it would never match",
            "add dns to planes, or leave planes out",
        )
