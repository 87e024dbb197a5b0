"""What `enforcer explain` does: a request put together from words, and the verdict on it.

It asks the same ``decide`` as the planes, with what a plane knows when it first asks: over
DNS and CONNECT not yet what will be spoken.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from enforcer.audit.text import printable
from enforcer.policy.addresses import parse_written_address
from enforcer.policy.compile import CompiledPolicy
from enforcer.policy.decide import decide
from enforcer.policy.gateway_address import exposes_gateway, refuse_gateway_address
from enforcer.policy.model import Address, Plane, Protocol, Refusal, Request, Verdict
from enforcer.policy.names import MAX_WIRE_BYTES, parse_host
from enforcer.policy.query_type import parse_query_type, query_type_name


class _Road(NamedTuple):
    plane: Plane
    protocol: Protocol | None
    usual_port: int | None


# By the words of ``--via``.
ROADS = {
    "dns": _Road(Plane.DNS, None, None),
    "tls": _Road(Plane.TLS, Protocol.TLS, 443),
    "connect": _Road(Plane.CONNECT, None, 443),
    "http": _Road(Plane.HTTP, Protocol.HTTP, 80),
    "ssh": _Road(Plane.TLS, Protocol.SSH, 22),
}


class Explanation(NamedTuple):
    """A verdict, for a person and for a program."""

    asked: str
    via: str
    request: Request
    verdict: Verdict

    @property
    def answer(self) -> str | None:
        """How the DNS plane puts its no; None where there is none."""
        verdict = self.verdict
        if self.request.plane is not Plane.DNS or not verdict.blocks:
            return None
        match verdict.refusal:
            case Refusal.SINKHOLE:
                return f"sinkhole {' '.join(map(str, verdict.sinkhole))}"
            case Refusal.CNAME:
                return f"cname {verdict.cname}"
            case Refusal.LOCAL_DATA:
                types = dict.fromkeys(query_type_name(record.rtype) for record in verdict.records)
                return f"local_data {' '.join(types)}"
        return verdict.refusal.value

    def as_dict(self) -> dict[str, Any]:
        return {
            "action": self.verdict.action.value,
            "rule": self.verdict.rule,
            "reason": self.verdict.reason,
            "file": self.verdict.source.file,
            "line": self.verdict.source.line,
            "mode": self.verdict.mode.value,
            "via": self.via,
            "name": self.request.name,
            "address": str(self.request.address) if self.request.address else None,
            "client": str(self.request.client) if self.request.client else None,
            "port": self.request.port,
            "type": query_type_name(self.request.qtype) if self.request.qtype else None,
            "answer": self.answer,
            "verify": str(self.verdict.verify) if self.verdict.verify else None,
        }

    def as_lines(self) -> list[tuple[str, str]]:
        """Each a word and what it says; the first word is the action."""
        port = f" port {self.request.port}" if self.request.port else ""
        qtype = f" type {query_type_name(self.request.qtype)}" if self.request.qtype else ""
        lines = [
            (self.verdict.action.value, f"{self.asked} via {self.via}{port}{qtype}"),
            ("rule", self.verdict.rule),
            ("reason", self.verdict.reason),
            ("from", str(self.verdict.source)),
        ]
        if self.answer:
            word, _, data = self.answer.partition(" ")
            lines.append(("answer", f"{word.upper()} {data}".rstrip()))
        if self.verdict.passthru:
            lines.append(("then", "what this name leads to is not judged"))
        if url := self.verdict.verify:
            issuer = "your own CA" if url.issuer.name == "own" else url.issuer.name
            then = (
                "its certificate is verified before a byte passes: it must be issued by "
                f"{issuer}; see it with: enforcer verify {url}"
            )
            lines.append(("then", then))
        return [(word, printable(text)) for word, text in lines]


def explain(
    policy: CompiledPolicy,
    asked: str,
    *,
    port: int | None = None,
    address: str | None = None,
    client: str | None = None,
    via: str | None = None,
    qtype: str | None = None,
    at: str | None = None,
    name_servers: Sequence[str] = (),
    now_s: float = 0.0,
) -> Explanation:
    """The verdict on a host name or an address.

    Without ``via`` it is DNS, or CONNECT for what no DNS question has: a port, or an
    address in the place of a name. ``at`` is a time in RFC 3339, or else it is ``now_s``;
    ``name_servers`` are names or addresses of those of the zone. Raises ValueError with a
    sentence.
    """
    host, target = _host_or_address(asked)
    if address is not None:
        if target is not None:
            raise ValueError(f"{asked} is an address already; leave out --address")
        target = _address("--address", address)
    road = via or ("connect" if port is not None or not host else "dns")
    plane, protocol, usual_port = ROADS[road]
    if plane is Plane.DNS and (port is not None or not host):
        what = "a port" if host else "an address in the place of a name"
        raise ValueError(f"no DNS question has {what}; name another road, such as --via connect")
    if plane is not Plane.DNS and (qtype is not None or name_servers):
        what = "query type" if qtype is not None else "name server"
        raise ValueError(f"only a lookup has a {what}; leave it out, or say --via dns")
    nsdnames, nsips = _name_servers(name_servers)
    request = Request(
        plane=plane,
        name=host,
        address=target,
        port=port or usual_port,
        client=_address("--client", client) if client is not None else None,
        protocol=protocol,
        time_s=now_s if at is None else _moment(at),
        qtype=None if qtype is None else parse_query_type(qtype),
        nsdnames=nsdnames,
        nsips=nsips,
    )
    return Explanation(asked, road, request, _judge(policy, request))


def _judge(policy: CompiledPolicy, request: Request) -> Verdict:
    """In the proxy's order: what the name alone says, the built-in rule, then all together."""
    address, by_proxy = request.address, request.plane in (Plane.CONNECT, Plane.HTTP)
    if not by_proxy or address is None or not exposes_gateway(address, request.client):
        return decide(policy, request)
    if request.name:
        verdict = decide(policy, request._replace(address=None))
        if verdict.blocks:
            return verdict
    return refuse_gateway_address(request, policy.policy.mode)


def _name_servers(
    written: Sequence[str],
) -> tuple[tuple[str, ...] | None, tuple[Address, ...] | None]:
    """Their names and their addresses; None where none is given, which is: not known."""
    found = [_host_or_address(text) for text in written]
    names = tuple(name for name, _ in found if name)
    addresses = tuple(address for _, address in found if address is not None)
    return names or None, addresses or None


def _moment(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"--at {text!r} is not a time; write one such as 2026-11-24T12:00:00Z"
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _host_or_address(asked: str) -> tuple[str, Address | None]:
    try:
        return "", parse_written_address(asked)
    except ValueError:
        pass
    if len(asked) > MAX_WIRE_BYTES:
        raise ValueError(
            f"a name of {len(asked)} characters is too long; "
            f"a name has at most {MAX_WIRE_BYTES - 2} bytes"
        )
    if "://" in asked or asked.count(":") == 1 or asked.startswith("["):
        raise ValueError(f"{asked!r} is not a name alone; write the host, and its port as --port N")
    return parse_host(asked), None


def _address(option: str, text: str) -> Address:
    try:
        return parse_written_address(text)
    except ValueError:
        raise ValueError(
            f"{option} {text!r} is not an address; write one such as 192.0.2.1"
        ) from None
