"""What any DNS client may count on, without EDNS: RFC 8906 8.1 and the RFCs behind it.

The gateway is a resolver and not the authority for a zone, so where RFC 8906 looks for AA,
these look for RA. A name that the policy blocks keeps to the same rules.
"""

import dns.message
import dns.rcode
import dns.rdatatype
import pytest
from integration.dns_harness import BLOCKED
from integration.dns_questions import (
    AA,
    AD,
    CD,
    MANY,
    QR,
    RA,
    RD,
    RESOLVES,
    TC,
    VALIDATED,
    Z,
    asking,
    each_name,
    each_transport,
    header_flags,
    records,
    with_edns,
    without_edns,
)


@pytest.fixture
async def ask(policy_from):
    async with asking(policy_from) as asked:
        yield asked


@each_name
@each_transport
async def test_known_type_is_answered(ask, name, rcode, transport):
    """RFC 8906 8.1.1."""
    answer = await ask(without_edns(name, "A", flags=0), transport)
    assert answer.rcode() == rcode
    assert header_flags(answer) == QR | RA
    assert bool(answer.answer) is (rcode == dns.rcode.NOERROR)


@each_name
@each_transport
@pytest.mark.parametrize("rdtype", ["TYPE4242", "TYPE65333"])
async def test_unknown_type_is_answered_as_one_that_is_not_there(
    ask, name, rcode, transport, rdtype
):
    """RFC 8906 8.1.2, RFC 3597 3."""
    answer = await ask(without_edns(name, rdtype, flags=0), transport)
    assert answer.rcode() == rcode
    assert answer.answer == []
    assert [rrset.rdtype for rrset in answer.authority] == [dns.rdatatype.SOA]
    assert header_flags(answer) == QR | RA


@each_name
@each_transport
@pytest.mark.parametrize("rdtype", ["A", "TYPE4242"])
async def test_who_sends_no_opt_gets_none(ask, name, rcode, transport, rdtype):
    """RFC 6891 7."""
    answer = await ask(without_edns(name, rdtype), transport)
    assert answer.edns == -1
    assert answer.additional == []


@each_name
@each_transport
@pytest.mark.parametrize("flags", [0, CD], ids=["clear", "set"])
async def test_checking_disabled_comes_back(ask, name, rcode, transport, flags):
    """RFC 8906 8.1.3.1, RFC 4035 3.2.2."""
    answer = await ask(without_edns(name, flags=flags), transport)
    assert answer.rcode() == rcode
    assert header_flags(answer) == QR | RA | flags


@each_name
@each_transport
async def test_authentic_data_is_not_said_of_what_nobody_validated(ask, name, rcode, transport):
    """RFC 8906 8.1.3.2: AD in a query is no AD in its answer."""
    answer = await ask(without_edns(name, flags=AD), transport)
    assert answer.rcode() == rcode
    assert header_flags(answer) == QR | RA


@each_name
@each_transport
async def test_reserved_bit_is_ignored_and_does_not_come_back(ask, name, rcode, transport):
    """RFC 8906 8.1.3.3, RFC 1035 4.1.1."""
    answer = await ask(without_edns(name, flags=Z), transport)
    assert answer.rcode() == rcode
    assert header_flags(answer) == QR | RA


@each_name
@each_transport
@pytest.mark.parametrize("flags", [0, RD], ids=["clear", "set"])
async def test_recursion_desired_comes_back(ask, name, rcode, transport, flags):
    """RFC 8906 8.1.3.4, RFC 1035 4.1.1."""
    answer = await ask(without_edns(name, flags=flags), transport)
    assert answer.rcode() == rcode
    assert header_flags(answer) == QR | RA | flags


@each_name
@each_transport
@pytest.mark.parametrize("flag", [AA, TC, RA], ids=["AA", "TC", "RA"])
async def test_flag_of_answers_means_nothing_in_a_query(ask, name, rcode, transport, flag):
    """RFC 1035 4.1.1."""
    answer = await ask(without_edns(name, flags=flag), transport)
    assert answer.rcode() == rcode
    assert header_flags(answer) == QR | RA


@each_transport
async def test_answer_is_said_to_be_authentic_to_who_asks_for_that(ask, transport):
    """RFC 6840 5.7: AD in a query asks for AD in the answer; DO does, too."""
    by_flag = await ask(without_edns(VALIDATED, flags=RD | AD), transport)
    by_edns = await ask(with_edns(VALIDATED, want_dnssec=True), transport)
    assert header_flags(by_flag) == header_flags(by_edns) == QR | RD | RA | AD


@each_transport
async def test_answer_is_not_said_to_be_authentic_to_who_does_not_ask(ask, transport):
    """RFC 6840 5.8."""
    assert header_flags(await ask(without_edns(VALIDATED), transport)) == QR | RD | RA
    assert header_flags(await ask(with_edns(VALIDATED), transport)) == QR | RD | RA


@each_transport
async def test_answer_of_the_policy_is_never_said_to_be_authentic(ask, transport):
    """RFC 6840 5.8: nobody validated it."""
    answer = await ask(with_edns(BLOCKED, flags=RD | AD, want_dnssec=True), transport)
    assert header_flags(answer) == QR | RD | RA


@each_transport
@pytest.mark.parametrize("opcode", [3, 7, 15])
@pytest.mark.parametrize("name", [None, RESOLVES, BLOCKED], ids=["header", "resolves", "blocked"])
async def test_unknown_opcode_is_not_implemented(ask, transport, opcode, name):
    """RFC 8906 8.1.4: the opcode comes back, and no flag and no record."""
    query = without_edns(name, flags=RD | AD | CD) if name else dns.message.Message()
    query.set_opcode(opcode)
    answer = await ask(query, transport)
    assert answer.rcode() == dns.rcode.NOTIMP
    assert answer.opcode() == opcode
    assert header_flags(answer) == QR
    assert answer.sections == [[], [], [], []]
    assert answer.edns == -1


@each_name
async def test_tcp_says_what_udp_says(ask, name, rcode):
    """RFC 8906 8.1.5, RFC 7766 5."""
    over_udp, over_tcp = [await ask(with_edns(name), way) for way in ("udp", "tcp")]
    assert over_udp.rcode() == over_tcp.rcode() == rcode
    assert records(over_udp) == records(over_tcp)
    assert over_udp.options == over_tcp.options


async def test_answer_too_long_for_udp_is_whole_over_tcp(ask):
    """RFC 7766 5, RFC 1035 4.2.1."""
    over_udp = await ask(without_edns(MANY), "udp")
    over_tcp = await ask(without_edns(MANY), "tcp")
    assert header_flags(over_udp) == QR | TC | RD | RA
    assert header_flags(over_tcp) == QR | RD | RA
    assert len(over_tcp.answer[0]) == 60


async def test_connection_carries_one_query_after_the_other_and_many_at_once(ask):
    """RFC 7766 6.2.1, 6.2.1.1; 7: each answer is known by its id and its question."""
    queries = [without_edns(name) for name in (RESOLVES, BLOCKED, MANY, VALIDATED) * 5]
    for number, query in enumerate(queries):
        query.id = number
    answers = await ask.send_stream([query.to_wire() for query in queries])
    assert {answer.id for answer in answers} == set(range(len(queries)))
    assert all(queries[answer.id].is_response(answer) for answer in answers)


@each_name
async def test_query_over_tcp_may_come_in_pieces(ask, name, rcode):
    """RFC 7766 8: the length may come apart from the message."""
    (answer,) = await ask.send_stream([without_edns(name).to_wire()], piece_bytes=1)
    assert answer.rcode() == rcode


@each_transport
@pytest.mark.parametrize(
    "names",
    [(RESOLVES, RESOLVES), (RESOLVES, BLOCKED), (BLOCKED, RESOLVES), (RESOLVES, MANY, BLOCKED)],
    ids=["the same twice", "blocked behind", "blocked before", "three"],
)
async def test_more_than_one_question_is_a_format_error(ask, transport, names):
    """RFC 9619 4: whatever they are; nothing of it is asked upstream."""
    query = without_edns(names[0])
    for name in names[1:]:
        query.question += without_edns(name).question
    # dnspython writes a name that it has written as a pointer, which is allowed.
    answer = await ask.send(query.to_wire(), transport)
    assert answer.id == query.id
    assert answer.rcode() == dns.rcode.FORMERR
    assert answer.answer == []
    assert ask.gateway.upstream.queries == []
