"""What ISC's DNS compliance tests (genreport) ask, and expect of a server, with RFC 8906.

Each probe is one of theirs by name; ``judge`` has their rules, but for AA, which a
resolver does not set. Asked are a name that resolves and one that the policy blocks.
"""

import asyncio
import struct
from dataclasses import dataclass

import dns.edns
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
from integration.dns_harness import BLOCKED, POLICY, Gateway, WilfulResolver

ZONE = "example.net"
Z = 0x0040
ALL_FLAGS = 0x07F0
COOKIE = dns.edns.GenericOption(10, bytes(range(1, 9)))
NSID = dns.edns.GenericOption(3, b"")
SUBNET = dns.edns.GenericOption(8, b"\0\1\0\0")
EXPIRE = dns.edns.GenericOption(9, b"")
UNKNOWN = dns.edns.GenericOption(100, b"")


@dataclass(frozen=True)
class Probe:
    """A row of genreport's table; ``edns`` None is no OPT."""

    name: str
    rdtype: str = "SOA"
    flags: int = 0
    edns: int | None = None
    size: int = 4096
    eflags: int = 0
    options: tuple = ()
    opcode: int = 0
    tcp: bool = False
    keeps_truncation: bool = False

    def packet(self, name):
        if self.opcode:
            return struct.pack("!6H", 4711, self.opcode << 11 | self.flags, 0, 0, 0, 0)
        query = dns.message.make_query(name, self.rdtype, flags=self.flags)
        if self.edns is not None:
            query.use_edns(self.edns, self.eflags, self.size, options=list(self.options))
        return query.to_wire()


TYPES = """
A NS MD MF CNAME SOA MB MG MR NULL WKS PTR HINFO MINFO MX TXT RP AFSDB X25 ISDN RT NSAP NSAP-PTR
SIG KEY PX GPOS AAAA LOC NXT SRV NAPTR KX CERT A6 DNAME APL DS SSHFP IPSECKEY RRSIG NSEC DNSKEY
DHCID NSEC3 NSEC3PARAM TLSA SMIMEA HIP CDS CDNSKEY OPENPGPKEY SPF NINFO L32 L64 LP EUI48 EUI64 URI
CAA AVC TYPE259 TYPE32769 TYPE1000
"""

PROBES = [
    Probe("dns"),
    Probe("aa", flags=dns.flags.AA),
    Probe("ad", flags=dns.flags.AD),
    Probe("cd", flags=dns.flags.CD),
    Probe("ra", flags=dns.flags.RA),
    Probe("rd", flags=dns.flags.RD),
    Probe("tc", flags=dns.flags.TC),
    Probe("zflag", flags=Z),
    Probe("opcode", opcode=15),
    Probe("opcodeflg", opcode=15, flags=ALL_FLAGS),
    Probe("type666", rdtype="TYPE666"),
    Probe("tcp", tcp=True),
    Probe("edns", edns=0),
    Probe("edns1", edns=1),
    Probe("edns@512", "DNSKEY", edns=0, size=512, eflags=0x8000, keeps_truncation=True),
    Probe("ednsopt", edns=0, options=(UNKNOWN,)),
    Probe("edns1opt", edns=1, options=(UNKNOWN,)),
    Probe("do", edns=0, eflags=0x8000),
    Probe("docookie", edns=0, eflags=0x8000, options=(COOKIE,)),
    Probe("edns1do", edns=1, eflags=0x8000),
    Probe("ednsflags", edns=0, eflags=0x0080),
    Probe("edns1flags", edns=1, eflags=0x0080),
    Probe("optlist", edns=0, options=(NSID, SUBNET, EXPIRE, COOKIE)),
    Probe("ednsnsid", edns=0, options=(NSID,)),
    Probe("ednscookie", edns=0, options=(COOKIE,)),
    Probe("ednsexpire", edns=0, options=(EXPIRE,)),
    Probe("ednssubnet", edns=0, options=(SUBNET,)),
    Probe("edns1nsid", edns=1, options=(NSID,)),
    Probe("edns1cookie", edns=1, options=(COOKIE,)),
    Probe("edns1expire", edns=1, options=(EXPIRE,)),
    Probe("edns1subnet", edns=1, options=(SUBNET,)),
    Probe("ednstcp", "DNSKEY", edns=0, size=512, eflags=0x8000, tcp=True),
    Probe("edns512tcp", "DNSKEY", edns=0, size=512, eflags=0x8000, tcp=True),
    Probe("bind11", edns=0, eflags=0x8000, options=(COOKIE,)),
    Probe("dig11", edns=0, flags=dns.flags.RD | dns.flags.AD, options=(COOKIE,)),
    *(Probe(kind, kind) for kind in TYPES.split()),
]


def judge(probe, answer, wire, *, rcode):
    """genreport's complaints, by its names."""
    options = {int(option.otype): option.to_wire() for option in answer.options}
    sections = answer.question, answer.answer, answer.authority, answer.additional
    expected = dns.rcode.BADVERS if probe.edns else rcode
    if probe.opcode:
        expected = dns.rcode.NOTIMP
    wants_cookie = COOKIE in probe.options and not probe.edns
    wants_do = probe.eflags & 0x8000
    # What of the header means something for QUERY alone, and for who asked for it.
    may_come_back = 0 if probe.opcode else probe.flags & (dns.flags.RD | dns.flags.CD)
    may_say_validated = not probe.opcode and (wants_do or probe.flags & dns.flags.AD)
    stray = answer.flags & (dns.flags.RD | dns.flags.CD) & ~may_come_back
    complaints = {
        "opcode": answer.opcode() != probe.opcode,
        dns.rcode.to_text(answer.rcode()): answer.rcode() != expected,
        "non-empty-section": probe.opcode and (any(sections) or answer.edns >= 0),
        "version-not-zero": answer.edns > 0,
        "noopt": probe.edns is not None and answer.edns < 0,
        "opt": probe.edns is None and answer.edns >= 0,
        "soa": probe.edns and (answer.answer or answer.authority),
        "echoed": set(options) - {10, 15},
        "cookie": wants_cookie is not (len(options.get(10, b"")) == 24),
        "nodo": wants_do and not answer.ednsflags & dns.flags.DO,
        "mbz": answer.ednsflags & 0x7FFF,
        "ra": bool(answer.flags & dns.flags.RA) is bool(probe.opcode),
        "aa": answer.flags & dns.flags.AA,
        "rd": stray & dns.flags.RD,
        "cd": stray & dns.flags.CD,
        "nord": may_come_back & ~answer.flags,
        "ad": answer.flags & dns.flags.AD and not may_say_validated,
        "z": answer.flags & Z,
        "toobig": probe.keeps_truncation and len(wire) > probe.size,
    }
    return {complaint for complaint, is_true in complaints.items() if is_true}


class ValidatingResolver(WilfulResolver):
    """Has a SOA and a large DNSKEY for each name, nothing else, and says that it validated."""

    def _answers(self, data, transport):
        query = dns.message.from_wire(data)
        self.queries.append((transport, query.question[0].name.to_text(), query))
        response = dns.message.make_response(query, recursion_available=True)
        response.flags |= dns.flags.AD | query.flags & dns.flags.CD
        if query.edns >= 0:
            response.ednsflags |= query.ednsflags & dns.flags.DO
        name, rdtype = query.question[0].name, query.question[0].rdtype
        soa = dns.rrset.from_text(name, 60, "IN", "SOA", "a.test. b.test. 1 3600 600 86400 60")
        match rdtype:
            case dns.rdatatype.SOA:
                response.answer.append(soa)
            case dns.rdatatype.DNSKEY:
                keys = [f"257 3 8 {'A' * 340}{number}{'A' * 3}" for number in range(4)]
                response.answer.append(dns.rrset.from_text(name, 60, "IN", "DNSKEY", *keys))
            case _:
                response.authority.append(soa)
        return [response.to_wire(max_size=65535)]


async def ask(gateway, probe, name):
    packet = probe.packet(name)
    if probe.tcp:
        reader, writer = await asyncio.open_connection(*gateway.endpoint)
        writer.write(struct.pack("!H", len(packet)) + packet)
        wire = await reader.readexactly(struct.unpack("!H", await reader.readexactly(2))[0])
        writer.close()
        return wire
    loop = asyncio.get_running_loop()
    answered = loop.create_future()
    protocol = type("Protocol", (asyncio.DatagramProtocol,), {})()
    protocol.datagram_received = lambda data, _: answered.set_result(data)
    transport, _ = await loop.create_datagram_endpoint(
        lambda: protocol, remote_addr=tuple(gateway.endpoint)
    )
    transport.sendto(packet)
    try:
        return await asyncio.wait_for(answered, 5)
    finally:
        transport.close()


@pytest.mark.parametrize(
    ("name", "rcode"), [(ZONE, dns.rcode.NOERROR), (BLOCKED, dns.rcode.NXDOMAIN)]
)
def test_compliance_tests_have_nothing_to_complain_of(run, policy_from, name, rcode):
    async def scenario():
        async with Gateway(policy_from(POLICY), resolver=ValidatingResolver()) as gateway:
            complaints = {}
            # Twice: the second time much comes from the cache.
            for probe in (*PROBES, *PROBES):
                wire = await ask(gateway, probe, name)
                wrong = judge(probe, dns.message.from_wire(wire), wire, rcode=rcode)
                if wrong:
                    complaints[probe.name] = wrong
            assert complaints == {}

    run(scenario())


def test_the_judge_finds_what_is_wrong():
    """A server that sends everything back as it came passes no probe."""
    for probe in PROBES:
        wire = bytearray(probe.packet(ZONE))
        wire[2] |= 0x80
        answer = dns.message.from_wire(bytes(wire))
        assert judge(probe, answer, wire, rcode=dns.rcode.NXDOMAIN)
