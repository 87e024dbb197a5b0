"""Policies and requests made by hypothesis, in so small a world that rules compete.

Most entries fit the request for a.b.x from 10.1.9.9 to 10.1.9.9, port 443, over TLS.
"""

from dataclasses import replace
from datetime import UTC
from ipaddress import ip_address, ip_network
from itertools import permutations

from hypothesis import strategies as st

from enforcer.policy.compile import compile_policy
from enforcer.policy.lists import NameList
from enforcer.policy.model import (
    REWRITES,
    Action,
    CertificateCheck,
    CertificateFact,
    ConnectUrl,
    Issuer,
    Match,
    Mode,
    OnFailure,
    Plane,
    Policy,
    PortRange,
    Protocol,
    Refusal,
    Request,
    Rule,
    Source,
)
from enforcer.policy.name_table import NameTable
from enforcer.policy.source import PolicyError
from enforcer.policy.ties import find_ties
from enforcer.policy.time_window import TimeWindow

NAMES = ("a.b.x", "b.x", "x")
NETWORKS = tuple(map(ip_network, ("10.0.0.0/8", "10.1.0.0/16", "10.1.8.0/22", "2001:db8::/32")))
ADDRESSES = tuple(map(ip_address, ("10.1.9.9", "10.9.9.9", "2001:db8::1")))
PORTS = tuple(PortRange(*ports) for ports in ((443, 443), (400, 500), (440, 450), (1, 1000)))

WINDOWS = (
    TimeWindow(frozenset({0, 1}), 480, 1080, UTC),
    TimeWindow(frozenset({0}), 1320, 360, UTC),
)
# A Monday, at 12:00, 23:00 and 07:00.
TIMES_S = (1_795_435_200.0, 1_795_474_800.0, 1_795_417_200.0)


def name_list(exact=(), suffix=(), below=()):
    tables = []
    for names in (exact, suffix, below):
        tables.append(NameTable())
        tables[-1].add(names)
    return NameList("list.txt", *tables, entries=1)


LISTS = (name_list(exact=["a.b.x"]), name_list(suffix=["b.x"]), name_list(below=["a.b.x", "x"]))


def some(values):
    """A part of a match: mostly not given, else one or two entries."""
    given = [*((value,) for value in values), *permutations(dict.fromkeys(values), 2)]
    return st.sampled_from([*[()] * 3 * len(given), *given])


matches = st.builds(
    Match,
    names=some(NAMES),
    suffixes=some(NAMES),
    patterns=some(("*.b.x", "a.*.x", "a*.*.x", "*.*.x")),
    addresses=some(NETWORKS),
    ports=some(PORTS),
    clients=some(NETWORKS),
    protocols=some((Protocol.TLS, Protocol.TLS, Protocol.SSH)),
    lists=some(LISTS),
    nsdnames=some(("ns.x", "x", "y")),
    nsips=some(NETWORKS),
    qtypes=some((1, 65)),
    windows=some(WINDOWS),
    planes=some((Plane.DNS, Plane.TLS)),
).filter(lambda match: match != Match())

any_rules = st.builds(
    Rule,
    id=st.just(""),
    action=st.sampled_from(Action),
    match=matches,
    reason=st.just("because"),
    source=st.just(Source("policy.yaml", 1)),
    refusal=st.sampled_from(Refusal),
    from_pack=st.booleans(),
    zone=st.sampled_from((0, 0, 0, 0, 1, 2)),
)


def _may_match(rule):
    """What is for lookups only has DNS among its planes."""
    of_lookups = rule.match.qtypes or (rule.action is Action.BLOCK and rule.refusal in REWRITES)
    return Plane.DNS in rule.match.planes or not (of_lookups and rule.match.planes)


rules = any_rules.filter(_may_match)

connect_urls = st.builds(
    ConnectUrl,
    host=st.sampled_from(NAMES),
    port=st.sampled_from((443, 8443)),
    issuer=st.just(Issuer("ngrok")),
    region_hosts=some(NAMES),
    addresses=some(NETWORKS),
    source=st.just(Source("policy.yaml", 2)),
)


ENFORCE = st.just(Mode.ENFORCE)


@st.composite
def policies(draw, modes=ENFORCE):
    """Policies that compile: whatever would be a tie is left out."""
    drawn = draw(st.lists(rules, min_size=4, max_size=10))
    kept = []
    for number, rule in enumerate(drawn):
        rank = len(drawn) + rule.zone if rule.zone else number + 1
        from_pack = rule.from_pack or rule.zone > 0
        named = replace(rule, id=f"r{number}", rank=rank, from_pack=from_pack)
        if not any(find_ties([*kept, named])):
            kept.append(named)
    policy = Policy(
        mode=draw(modes),
        default=Rule(
            "default", draw(st.sampled_from(Action)), Match(), "default", Source("policy.yaml", 3)
        ),
        connect_urls=(),
        rules=tuple(kept),
        dns_on_failure=OnFailure.CLOSED,
        tls_on_failure=draw(st.sampled_from(OnFailure)),
        files=(),
        digest="",
    )
    for url in draw(st.lists(connect_urls, max_size=2)):
        more = replace(policy, connect_urls=(*policy.connect_urls, url))
        policy = more if _compiles(more) else policy
    return policy


def _compiles(policy):
    try:
        compile_policy(policy)
    except PolicyError:
        return False
    return True


def requests(*, known=False):
    """Requests; ``known`` has every fact but the certificate."""
    unknown = () if known else (None,)
    # Of these, rules that are no tie may fit equally well.
    any_type, many_servers, many_addresses = (
        ((), (), ()) if known else ((255,), (("ns.x", "y"),), (ADDRESSES,))
    )
    addresses = st.sampled_from((*[ADDRESSES[0]] * 7, *ADDRESSES, *unknown))
    return st.builds(
        Request,
        plane=st.sampled_from([plane for plane in Plane if not known or plane is not Plane.DNS]),
        name=st.sampled_from((*["a.b.x"] * 9, "z.b.x", "b.x", "x", "")),
        address=addresses,
        port=st.sampled_from((*[443] * 7, 450, 8443, *unknown)),
        client=addresses,
        protocol=st.sampled_from((*[Protocol.TLS] * 9, *Protocol, *unknown)),
        certificate=st.none()
        | st.sampled_from(CertificateCheck).map(lambda check: CertificateFact(check, "the chain")),
        time_s=st.sampled_from(TIMES_S),
        qtype=st.sampled_from((1, 1, 65, 28, *any_type, *unknown)),
        over_tcp=st.booleans(),
        nsdnames=st.sampled_from((("ns.x",), ("z.y",), *many_servers, *unknown)),
        nsips=st.sampled_from(((ADDRESSES[0],), *many_addresses, *unknown)),
    )
