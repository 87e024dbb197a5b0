"""What a policy must leave reachable, and what it should cover.

The names are ngrok's documented ones; they stand here apart from packs/ngrok.yaml so
that a policy without the pack, or with an old copy of it, is still measured by them.
"""

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address
from itertools import product
from typing import NamedTuple

from enforcer.policy.compile import CompiledPolicy, enforced
from enforcer.policy.decide import decide
from enforcer.policy.model import (
    Address,
    ConnectUrl,
    Plane,
    Protocol,
    Request,
    Rule,
    Source,
    Verdict,
)
from enforcer.policy.pattern import compile_pattern
from enforcer.policy.query_type import parse_query_type
from enforcer.policy.source import Problem

# Points of presence; eu-lon-1 is named by the agent's own --region list only.
REGIONS = ("us", "eu", "ap", "au", "sa", "jp", "in", "us-cal-1", "eu-lon-1")
DEFAULT_INGRESS = (
    "connect.ngrok-agent.com",
    *(f"connect.{region}.ngrok-agent.com" for region in REGIONS),
    "tunnel.ngrok.com",
    *(f"tunnel.{region}.ngrok.com" for region in REGIONS),
)
_OTHER_REGIONS = tuple(
    compile_pattern(pattern)
    for pattern in (
        "connect.*.ngrok-agent.com",
        "connect.*-ngrok-agent.com",
        "tunnel.*.ngrok.com",
    )
)
_TLS_PORT = 443
_A = parse_query_type("A")
_ANY_TIME_S = 0.0
# No client has these, so that they fit only a range that takes in everybody.
_EVERYBODY = (None, IPv4Address(0), IPv6Address(0))


class _Asker(NamedTuple):
    client: Address | None
    time_s: float


class Need(NamedTuple):
    """A host that an agent behind an allowed Connect URL talks to."""

    host: str
    port: int
    protocol: Protocol
    why: str


# The command line agent fetches its CRL before it connects, and fails without it.
REQUIRED = (
    Need(
        "crl.ngrok-agent.com",
        80,
        Protocol.HTTP,
        "agents fetch their certificate revocation list there",
    ),
)
WANTED = (
    Need(
        "crl.ngrok.com",
        80,
        Protocol.HTTP,
        "agents up to 3.9 fetch their revocation list there",
    ),
    Need(
        "update.ngrok-agent.com",
        443,
        Protocol.TLS,
        "agents update themselves from there",
    ),
)


class _Unmet(NamedTuple):
    problem: Problem
    rule: Rule | None

    @property
    def is_quarantine(self) -> bool:
        """Whether a feed says it of some clients, who may be meant to reach nothing."""
        return bool(self.rule and self.rule.zone and self.rule.match.clients)


class Findings(NamedTuple):
    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def lint(policy: CompiledPolicy) -> Findings:
    """Faults that only show when the rules work together, judged as if enforced."""
    policy = enforced(policy)
    required = tuple(_unmet(policy, REQUIRED))
    wanted = tuple(_unmet(policy, WANTED))
    return Findings(
        tuple(unmet.problem for unmet in required if not unmet.is_quarantine),
        (
            *(unmet.problem for unmet in required if unmet.is_quarantine),
            *(unmet.problem for unmet in wanted),
            *_closed(policy),
            *_shared(policy),
            *_uncovered(policy),
            *_unread(policy),
        ),
    )


def _unmet(policy: CompiledPolicy, needs: Iterable[Need]) -> Iterator[_Unmet]:
    """Needs that are blocked for clients to whom a Connect URL is allowed."""
    rules = {rule.id: rule for rule in (policy.policy.default, *policy.policy.rules)}
    clients = tuple(dict.fromkeys((*_EVERYBODY, *_clients(policy.policy.rules))))
    times = tuple(dict.fromkeys((_ANY_TIME_S, *_times_s(policy.policy.rules))))
    for need in needs:
        told = set()
        for client, time_s in product(clients, times):
            asker = _Asker(client, time_s)
            verdict = _reach(policy, need.host, need.port, need.protocol, asker)
            if verdict is None or verdict.rule in told:
                continue
            url = _usable(policy, asker)
            if url is not None:
                told.add(verdict.rule)
                whom = "" if client in _EVERYBODY else f" for clients such as {client}"
                rule = rules.get(verdict.rule)
                problem = Problem(
                    verdict.source,
                    verdict.rule,
                    f"the Connect URL {url} is allowed{whom}, but {need.host}:{need.port} is "
                    f"blocked, and {need.why}",
                    _open(need, rule, client),
                )
                yield _Unmet(problem, rule)


def _clients(rules: Iterable[Rule]) -> Iterator[Address]:
    """One client for each rule that is about some: the first of its widest range."""
    for rule in rules:
        if rule.match.clients:
            widest = min(rule.match.clients, key=lambda network: network.prefixlen)
            yield widest.network_address


def _times_s(rules: Iterable[Rule]) -> Iterator[float]:
    """A time in each window, in seconds since the epoch."""
    for rule in rules:
        yield from (window.begins_s() for window in rule.match.windows)


def _usable(policy: CompiledPolicy, asker: _Asker) -> ConnectUrl | None:
    for url in policy.policy.connect_urls:
        if _reach(policy, url.host, url.port, Protocol.TLS, asker) is None:
            return url
    return None


def _reach(
    policy: CompiledPolicy, host: str, port: int, protocol: Protocol, asker: _Asker
) -> Verdict | None:
    """The first verdict on the way to a host that blocks; None when nothing does."""
    plane = Plane.HTTP if protocol is Protocol.HTTP else Plane.TLS
    for request in (
        Request(Plane.DNS, host, qtype=_A),
        Request(Plane.CONNECT, host, port=port),
        Request(plane, host, port=port, protocol=protocol),
    ):
        verdict = decide(policy, request._replace(client=asker.client, time_s=asker.time_s))
        if verdict.blocks:
            return verdict
    return None


def _open(need: Need, rule: Rule | None, client: Address | None) -> str:
    if rule is None:
        return f"put the host of your own Connect URL in place of {need.host}"
    if need.host in rule.match.names and not rule.from_pack:
        return f"take {need.host} out of this rule"
    name = need.host.replace(".", "-")
    # A zone may have thousands.
    ranges = (client,) if rule.zone and rule.match.clients else rule.match.clients
    clients = f", clients: [{', '.join(map(str, ranges))}]" if ranges else ""
    return (
        f"add the rule {{id: agents-need-{name}, action: allow, "
        f"match: {{names: [{need.host}], ports: [{need.port}]{clients}}}}}"
    )


def _closed(policy: CompiledPolicy) -> Iterator[Problem]:
    """Connect URLs that nobody can use."""
    for url in policy.policy.connect_urls:
        for host in dict.fromkeys((url.host, *url.region_hosts)):
            verdicts = [
                _reach(policy, host, url.port, Protocol.TLS, _Asker(client, _ANY_TIME_S))
                for client in _EVERYBODY
            ]
            verdict = next(filter(None, verdicts), None)
            if verdict is not None:
                yield Problem(
                    verdict.source,
                    verdict.rule,
                    f"it blocks {host}:{url.port}, which is a Connect URL at {url.source}",
                    "narrow this rule, or remove the Connect URL",
                )
                break


def _shared(policy: CompiledPolicy) -> Iterator[Problem]:
    """Connect URLs that are no company's own."""
    for url in policy.policy.connect_urls:
        for host in dict.fromkeys((url.host, *url.region_hosts)):
            if host in DEFAULT_INGRESS or any(other.fullmatch(host) for other in _OTHER_REGIONS):
                yield Problem(
                    url.source,
                    f"connect-url:{url}",
                    f"{host} is ngrok's default ingress, which agents of every account may use",
                    "put the host of your own Connect URL there",
                )


def _uncovered(policy: CompiledPolicy) -> Iterator[Problem]:
    missed = []
    for name in DEFAULT_INGRESS:
        request = Request(Plane.TLS, name, port=_TLS_PORT, protocol=Protocol.TLS)
        verdict = decide(policy, request)
        if not verdict.blocks and verdict.rule == policy.policy.default.id:
            missed.append(name)
    if missed:
        yield Problem(
            policy.policy.source,
            "rules",
            f"no rule covers ngrok's default ingress at {', '.join(missed)}",
            "include packs/ngrok.yaml, or add rules for them",
        )


def _unread(policy: CompiledPolicy) -> Iterator[Problem]:
    """Lists and zones that say less than their files seem to."""
    for found in policy.policy.lists:
        if found.rejected:
            first = found.rejected[0]
            yield Problem(
                Source(found.path, first.line),
                "",
                f"{found.rejected_count} lines are rejected, first {first.text!r}: {first.why}",
                "see them with enforcer check, and correct or remove them",
            )
        elif not found.entries:
            remedy = "give it an entry, or take it out of the policy"
            yield Problem(Source(found.path, 1), "", "this list has no entry", remedy)
