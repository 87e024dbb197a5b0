"""Questions put to the DNS plane on loopback, as any client may, and read by dnspython."""

import asyncio
import contextlib
import socket

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
from integration.dns_harness import BLOCKED, POLICY, Gateway, WilfulResolver, read_message

RESOLVES = "www.example.org"
MANY = "many.example.org"  # its answer has 60 addresses, about a thousand bytes
VALIDATED = "validated.example.org"  # the upstream says that it validated the answer
ONLY_TCP = "tcp.example.net"  # truncated over UDP by the policy
QR, AA, TC, RD, RA, AD, CD = (
    dns.flags.QR,
    dns.flags.AA,
    dns.flags.TC,
    dns.flags.RD,
    dns.flags.RA,
    dns.flags.AD,
    dns.flags.CD,
)
Z = 0x0040  # RFC 1035 4.1.1: must be zero
_FLAGS = 0x87F0  # the header without opcode and response code

each_transport = pytest.mark.parametrize("transport", ["udp", "tcp"])
# The two roads of an answer: one that comes from upstream, and one that the policy gives.
each_name = pytest.mark.parametrize(
    ("name", "rcode"),
    [(RESOLVES, dns.rcode.NOERROR), (BLOCKED, dns.rcode.NXDOMAIN)],
    ids=["resolves", "blocked"],
)


class Zone(WilfulResolver):
    """Names with an address and nothing else; negative answers have a SOA (RFC 2308 2)."""

    def _answers(self, data, transport):
        query = dns.message.from_wire(data)
        question = query.question[0]
        name = question.name.to_text().lower()
        self.queries.append((transport, name, query))
        response = dns.message.make_response(query, recursion_available=True)
        if question.rdtype == dns.rdatatype.A:
            count = 60 if name.startswith("many") else 1
            addresses = [f"192.0.2.{number}" for number in range(1, count + 1)]
            response.answer.append(dns.rrset.from_text(name, 60, "IN", "A", *addresses))
        else:
            soa = "ns.example.org. hostmaster.example.org. 1 3600 600 86400 60"
            response.authority.append(dns.rrset.from_text("example.org.", 60, "IN", "SOA", soa))
        if name.startswith("validated"):
            response.flags |= AD
        return [response.to_wire()]


class Asking:
    """One gateway, and somebody who asks it."""

    def __init__(self, gateway):
        self.gateway = gateway

    async def __call__(self, query, transport="udp", source="127.0.0.1"):
        """The answer to a dnspython message, which must be one."""
        answer = await self.send(query.to_wire(), transport, source)
        assert query.is_response(answer)
        return answer

    async def send(self, wire, transport="udp", source="127.0.0.1"):
        """What these bytes are answered with, read strictly."""
        async with asyncio.timeout(5):
            if transport == "tcp":
                return (await self.send_stream([wire], source))[0]
            loop = asyncio.get_running_loop()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.setblocking(False)
                client.bind((source, 0))
                await loop.sock_connect(client, tuple(self.gateway.endpoint))
                await loop.sock_sendall(client, wire)
                return dns.message.from_wire(await loop.sock_recv(client, 65535))

    async def send_stream(self, wires, source="127.0.0.1", piece_bytes=65535):
        """The answers on one connection, in the order in which they come."""
        data = b"".join(len(wire).to_bytes(2, "big") + wire for wire in wires)
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection(
                *self.gateway.endpoint, local_addr=(source, 0)
            )
            for at in range(0, len(data), piece_bytes):
                writer.write(data[at : at + piece_bytes])
                await asyncio.sleep(0)
            answers = [await read_message(reader) for _ in wires]
            writer.close()
            await writer.wait_closed()
            return answers


@contextlib.asynccontextmanager
async def asking(policy_from):
    rule = f"rules: [{{id: tcp, action: block, match: {{names: [{ONLY_TCP}]}}, refusal: tcp_only}}]"
    async with Gateway(policy_from(POLICY + rule), timeout_s=5, resolver=Zone()) as gateway:
        yield Asking(gateway)


def without_edns(name, rdtype="A", flags=RD):
    return dns.message.make_query(name, rdtype, flags=flags)


def with_edns(name, rdtype="A", flags=RD, **edns):
    """``edns`` is what dnspython takes: use_edns (the version), ednsflags, payload, options."""
    return dns.message.make_query(name, rdtype, flags=flags, **{"use_edns": 0, **edns})


def header_flags(message):
    return message.flags & _FLAGS


def records(message):
    """Owner, type and data of each record, without TTLs: they count down."""
    return {
        (rrset.name, rrset.rdtype, rdata.to_text())
        for section in (message.answer, message.authority, message.additional)
        for rrset in section
        for rdata in rrset
    }
