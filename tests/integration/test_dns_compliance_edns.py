"""What a client that speaks EDNS may count on: RFC 8906 8.2, RFC 6891, RFC 3225.

An answer of the policy says why in an Extended DNS Error (RFC 8914), which any answer with
an OPT may have; no other option comes to who did not ask for it.
"""

import dns.edns
import dns.flags
import dns.rcode
import dns.rdatatype
import pytest
from integration.dns_harness import BLOCKED
from integration.dns_questions import (
    MANY,
    ONLY_TCP,
    QR,
    RA,
    RD,
    RESOLVES,
    TC,
    asking,
    each_name,
    each_transport,
    header_flags,
    records,
    with_edns,
    without_edns,
)

DO = dns.flags.DO
UNKNOWN_FLAGS = [0x0001, 0x1040, 0x7FFF]
UNKNOWN_OPTIONS = [
    dns.edns.GenericOption(4711, b""),
    dns.edns.GenericOption(65280, b"what is this"),
]
OTHER_VERSIONS = [1, 42, 255]

each_version = pytest.mark.parametrize("version", OTHER_VERSIONS)
each_unknown_flag = pytest.mark.parametrize("flags", UNKNOWN_FLAGS, ids=hex)
each_unknown_option = pytest.mark.parametrize("option", UNKNOWN_OPTIONS, ids=str)
each_dnssec_ok = pytest.mark.parametrize("flags", [0, DO], ids=["clear", "set"])


@pytest.fixture
async def ask(policy_from):
    async with asking(policy_from) as asked:
        yield asked


def options_beside_errors(answer):
    return [option for option in answer.options if option.otype != dns.edns.EDE]


def is_bad_version(answer):
    """RFC 6891 6.1.3: the highest version that is spoken here, and no record."""
    assert answer.rcode() == dns.rcode.BADVERS
    assert answer.edns == 0
    assert answer.answer == answer.authority == answer.additional == []
    assert header_flags(answer) == QR | RD | RA
    assert answer.options == ()
    return True


@each_name
@each_transport
async def test_opt_is_answered_by_an_opt(ask, name, rcode, transport):
    """RFC 8906 8.2.1, RFC 6891 6.1.1."""
    answer = await ask(with_edns(name), transport)
    assert answer.rcode() == rcode
    assert answer.edns == 0
    assert answer.ednsflags == 0
    assert answer.payload >= 512
    assert options_beside_errors(answer) == []
    assert header_flags(answer) == QR | RD | RA


@each_name
@each_transport
async def test_opt_may_stand_before_other_records(ask, name, rcode, transport):
    """RFC 6891 6.1.1: anywhere in the additional section."""
    wire = bytearray(with_edns(name).to_wire())
    wire += b"\0" + dns.rdatatype.A.to_bytes(2, "big") + b"\0\1" + bytes(4) + b"\0\4" + bytes(4)
    wire[10:12] = b"\0\2"
    answer = await ask.send(bytes(wire), transport)
    assert answer.rcode() == rcode
    assert answer.edns == 0


@each_name
@each_transport
@each_version
async def test_other_version_is_told_which_one_is_spoken(ask, name, rcode, transport, version):
    """RFC 8906 8.2.2, RFC 6891 6.1.3."""
    answer = await ask(with_edns(name, use_edns=version), transport)
    assert is_bad_version(answer)
    assert answer.ednsflags & 0xFFFF == 0


@each_name
@each_transport
@each_unknown_option
async def test_unknown_option_is_ignored_and_does_not_come_back(
    ask, name, rcode, transport, option
):
    """RFC 8906 8.2.3, RFC 6891 6.1.2."""
    answer = await ask(with_edns(name, options=[option]), transport)
    assert answer.rcode() == rcode
    assert answer.edns == 0
    assert options_beside_errors(answer) == []


@each_name
@each_transport
@each_unknown_flag
async def test_unknown_flag_is_ignored_and_does_not_come_back(ask, name, rcode, transport, flags):
    """RFC 8906 8.2.4, RFC 6891 6.1.4."""
    answer = await ask(with_edns(name, ednsflags=flags), transport)
    assert answer.rcode() == rcode
    assert answer.edns == 0
    assert answer.ednsflags == 0


@each_name
@each_transport
@each_unknown_flag
async def test_unknown_flag_of_another_version_does_not_come_back(
    ask, name, rcode, transport, flags
):
    """RFC 8906 8.2.5."""
    answer = await ask(with_edns(name, use_edns=1, ednsflags=flags), transport)
    assert is_bad_version(answer)
    assert answer.ednsflags & 0xFFFF == 0


@each_name
@each_transport
@each_unknown_option
async def test_unknown_option_of_another_version_does_not_come_back(
    ask, name, rcode, transport, option
):
    """RFC 8906 8.2.6."""
    assert is_bad_version(await ask(with_edns(name, use_edns=1, options=[option]), transport))


@pytest.mark.parametrize("name", [MANY, ONLY_TCP], ids=["resolves", "blocked"])
@each_dnssec_ok
async def test_truncated_answer_has_an_opt(ask, name, flags):
    """RFC 8906 8.2.7, RFC 6891 7."""
    answer = await ask(with_edns(name, payload=512, ednsflags=flags))
    assert header_flags(answer) == QR | TC | RD | RA
    assert answer.rcode() == dns.rcode.NOERROR
    assert answer.edns == 0
    assert answer.ednsflags == flags
    assert answer.question == with_edns(name).question


@pytest.mark.parametrize("name", [MANY, ONLY_TCP], ids=["resolves", "blocked"])
async def test_truncated_answer_has_no_opt_for_who_sent_none(ask, name):
    """RFC 6891 7."""
    answer = await ask(without_edns(name))
    assert header_flags(answer) == QR | TC | RD | RA
    assert answer.edns == -1


@each_name
@each_transport
@each_dnssec_ok
async def test_dnssec_ok_comes_back(ask, name, rcode, transport, flags):
    """RFC 8906 8.2.8, RFC 3225 3."""
    answer = await ask(with_edns(name, ednsflags=flags), transport)
    assert answer.rcode() == rcode
    assert answer.edns == 0
    assert answer.ednsflags == flags


@each_name
@each_transport
@each_version
async def test_dnssec_ok_comes_back_for_another_version(ask, name, rcode, transport, version):
    """RFC 8906 8.2.9, RFC 3225 3."""
    answer = await ask(with_edns(name, use_edns=version, ednsflags=DO), transport)
    assert is_bad_version(answer)
    assert answer.ednsflags & 0xFFFF == DO


@each_name
@each_transport
async def test_several_options_are_each_taken_for_what_they_are(ask, name, rcode, transport):
    """RFC 8906 8.2.10: of these only the cookie is answered here."""
    options = [
        dns.edns.GenericOption(dns.edns.PADDING, bytes(5)),
        dns.edns.CookieOption(b"a client", b""),
        dns.edns.GenericOption(4711, b"unknown"),
        dns.edns.ECSOption("198.51.100.0", 24),
        dns.edns.NSIDOption(b""),
    ]
    answer = await ask(with_edns(name, options=options), transport)
    assert answer.rcode() == rcode
    assert answer.edns == 0
    (cookie,) = options_beside_errors(answer)
    assert cookie.client == b"a client"


@each_name
@each_transport
async def test_second_opt_is_a_format_error(ask, name, rcode, transport):
    """RFC 6891 6.1.1; 7: with an OPT, so that the client knows that EDNS is spoken here."""
    wire = bytearray(with_edns(name).to_wire())
    wire += wire[-11:]
    wire[10:12] = b"\0\2"
    answer = await ask.send(bytes(wire), transport)
    assert answer.rcode() == dns.rcode.FORMERR
    assert answer.question == with_edns(name).question
    assert answer.edns == 0
    assert ask.gateway.upstream.queries == []


@each_name
@each_transport
@pytest.mark.parametrize(
    "rdata",
    [b"\x12", b"\x12\x67\0", b"\x12\x67\0\1", b"\x12\x67\0\2a", b"\x12\x67\xff\xffabc"],
    ids=["half a code", "half a length", "no content", "half a content", "more than there is"],
)
async def test_option_that_is_cut_off_is_a_format_error(ask, name, rcode, transport, rdata):
    """RFC 6891 7: with the question and an OPT."""
    query = with_edns(name, ednsflags=DO)
    wire = query.to_wire()[:-2] + len(rdata).to_bytes(2, "big") + rdata
    answer = await ask.send(wire, transport)
    assert answer.rcode() == dns.rcode.FORMERR
    assert answer.question == query.question
    assert answer.edns == 0
    assert answer.ednsflags == DO
    assert ask.gateway.upstream.queries == []


@pytest.mark.parametrize("name", [RESOLVES, BLOCKED, MANY])
@pytest.mark.parametrize("size_bytes", [0, 1, 511])
async def test_size_below_512_counts_as_512(ask, name, size_bytes):
    """RFC 6891 6.2.3."""
    small = await ask(with_edns(name, payload=size_bytes))
    usual = await ask(with_edns(name, payload=512))
    assert header_flags(small) == header_flags(usual)
    assert records(small) == records(usual)


@pytest.mark.parametrize("size_bytes", [512, 900, 1100, 1232, 4096, 65535])
async def test_answer_over_udp_is_no_longer_than_the_client_takes(ask, size_bytes):
    """RFC 6891 6.2.3: what does not fit is truncated, and what fits is whole."""
    query = with_edns(MANY, payload=size_bytes)
    whole = await ask(query, "tcp")
    answer = await ask(query, "udp")
    if len(whole.to_wire()) <= size_bytes:
        assert records(answer) == records(whole)
    else:
        assert header_flags(answer) == QR | TC | RD | RA
        assert len(answer.to_wire()) <= size_bytes


async def test_size_is_about_udp_alone(ask):
    """RFC 6891 6.2.3: the requestor's UDP payload size."""
    answer = await ask(with_edns(MANY, payload=512), "tcp")
    assert len(answer.answer[0]) == 60


@each_transport
async def test_opt_is_for_one_hop(ask, transport):
    """RFC 6891 6.1.1: never forwarded; what the client sent is not what upstream is sent."""
    options = [*UNKNOWN_OPTIONS, dns.edns.CookieOption(b"a client", b"")]
    await ask(with_edns(RESOLVES, ednsflags=0x1040, payload=4000, options=options), transport)
    ((_, _, forwarded),) = ask.gateway.upstream.queries
    sent = {option.to_wire() for option in options}
    assert forwarded.ednsflags & 0xFFFF & ~DO == 0
    assert forwarded.payload != 4000
    assert not sent & {option.to_wire() for option in forwarded.options}
