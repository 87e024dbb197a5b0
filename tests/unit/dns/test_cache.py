"""What is kept, for how long, and what comes out."""

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import pytest

from enforcer.dns.cache import RECHECK_S, STALE_TTL_S, Cache, CacheLimits
from enforcer.dns.packets.answer import parse_answer
from enforcer.dns.packets.wire import AD, CD, RD, Edns, Query

NAME = b"\3www\7example\3net\0"
KEY = (NAME, 1, False, False)
POSITIVE = """\
id 77
opcode QUERY
rcode NOERROR
flags QR RD RA AD
edns 0
;QUESTION
wWw.example.net. IN A
;ANSWER
www.example.net. 300 IN CNAME two.example.net.
two.example.net. {ttl} IN A 192.0.2.1
;AUTHORITY
example.net. 600 IN NS ns.example.net.
"""
NEGATIVE = """\
id 77
opcode QUERY
rcode NXDOMAIN
flags QR RD RA
;QUESTION
www.example.net. IN A
;AUTHORITY
example.net. 900 IN SOA ns.example.net. hostmaster.example.net. 1 2 3 4 {minimum}
"""
FAILURE = "id 77\nopcode QUERY\nrcode SERVFAIL\nflags QR RD RA\n;QUESTION\nwww.example.net. IN A\n"


def wire(text):
    return dns.message.from_text(text).to_wire()


def positive(ttl=100):
    return wire(POSITIVE.format(ttl=ttl))


def negative(minimum=60):
    return wire(NEGATIVE.format(minimum=minimum))


def query(flags=RD, edns=None, ident=5):
    question = NAME.replace(b"www", b"wwW") + b"\0\1\0\1"
    return Query(ident, flags, NAME, 1, question, edns)


def ttls(rendered):
    message = dns.message.from_wire(rendered)
    return {rrset.ttl for section in message.sections[1:] for rrset in section}


@pytest.fixture
def cache():
    return Cache(CacheLimits())


def test_what_was_never_put_is_not_there(cache):
    assert cache.get(KEY, 0.0) is None


def test_answer_comes_out_as_it_went_in_but_for_id_ttl_and_opt(cache):
    entry = cache.put(KEY, positive(), 10.0)
    assert cache.get(KEY, 11.0).entry is entry
    before, after = map(dns.message.from_wire, (positive(), entry.render(10.0)))
    assert after.id == 0
    assert after.edns == -1
    after.id, after.flags = before.id, after.flags
    assert after.flags == before.flags
    assert after.sections == before.sections
    assert b"wWw" in entry.render(10.0)


def test_every_ttl_is_what_is_left_of_the_whole_answer(cache):
    entry = cache.put(KEY, positive(100), 10.0)
    assert ttls(entry.render(10.0)) == {100}
    assert ttls(entry.render(40.9)) == {70}
    assert ttls(entry.render(109.9)) == {1}


def test_clock_that_is_set_back_makes_no_ttl_grow(cache):
    assert ttls(cache.put(KEY, positive(100), 10.0).render(-1000.0)) == {100}


def test_client_gets_its_own_id_letters_and_rd(cache):
    rendered = cache.put(KEY, positive(), 10.0).render_for(query(flags=0), 10.0)
    message = dns.message.from_wire(rendered)
    assert message.id == 5
    assert rendered[12:29] == NAME.replace(b"www", b"wwW")
    assert not message.flags & dns.flags.RD


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        (query(), False),
        (query(edns=Edns(1232, do=False)), False),
        (query(flags=RD | AD), True),
        (query(edns=Edns(1232, do=True)), True),
    ],
)
def test_ad_goes_to_who_asked_for_it(cache, asked, given):
    rendered = cache.put(KEY, positive(), 10.0).render_for(asked, 10.0)
    assert bool(dns.message.from_wire(rendered).flags & dns.flags.AD) is given


@pytest.mark.parametrize("flags", [0, RD, CD, RD | CD])
def test_of_the_flags_only_what_upstream_says_of_the_answer_is_passed_on(cache, flags):
    reply = bytearray(positive())
    reply[2:4] = b"\x84\x50"  # an authority's: AA, no RA, and CD and the reserved bit
    rendered = cache.put(KEY, bytes(reply), 10.0).render_for(query(flags=flags), 10.0)
    assert int.from_bytes(rendered[2:4], "big") == dns.flags.QR | dns.flags.RA | flags


def test_answer_says_what_the_rendered_bytes_say(cache):
    entry = cache.put(KEY, positive(), 10.0)
    assert entry.answer._replace(ttl_s=0) == parse_answer(entry.render(10.0))._replace(ttl_s=0)
    assert entry.answer.opt_at is None


def test_opt_goes_wherever_it_stands():
    opt = b"\0\0\x29\4\xd0\0\0\0\0\0\0"
    address = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\1"
    head = b"\0\1\x81\x80\0\1\0\1\0\0\0\2" + NAME + b"\0\1\0\1"
    entry = Cache(CacheLimits()).put(KEY, head + address + opt + address, 0.0)
    message = dns.message.from_wire(entry.render(0.0))
    assert message.edns == -1
    assert len(message.additional) == 1
    # Two of them are against RFC 6891 6.1.1.
    assert Cache(CacheLimits()).put(KEY, head + address + opt + opt, 0.0) is None


def test_extended_error_of_upstream_is_kept(cache):
    failure = dns.message.from_text(FAILURE)
    options = [dns.edns.GenericOption(10, b"12345678"), dns.edns.EDEOption(6, "bogus")]
    failure.use_edns(0, options=options)
    entry = cache.put(KEY, failure.to_wire(), 0.0)
    assert entry.ede == b"\0\x0f\0\7\0\6bogus"
    assert cache.put(KEY, positive(), 0.0).ede == b""


def test_extended_rcode_is_not_kept(cache):
    bad = dns.message.from_text(FAILURE)
    bad.use_edns(0)
    bad.set_rcode(dns.rcode.BADVERS)
    assert cache.put(KEY, bad.to_wire(), 0.0) is None


@pytest.mark.parametrize(("ttl", "kept"), [(5, 30), (300, 120), (100, 100), (0, 30)])
def test_ttl_of_data_is_bounded_both_ways(ttl, kept):
    cache = Cache(CacheLimits(min_ttl_s=30, max_ttl_s=120))
    assert cache.put(KEY, positive(ttl), 0.0).expires_s == kept


def test_negative_answer_is_kept_by_its_soa_and_no_longer_than_the_limit():
    cache = Cache(CacheLimits(min_ttl_s=90, max_negative_ttl_s=600))
    assert cache.put(KEY, negative(60), 0.0).expires_s == 60
    assert ttls(cache.put(KEY, negative(60), 0.0).render(15.0)) == {45}
    assert cache.put(KEY, negative(7200), 0.0).expires_s == 600


def test_answer_of_no_time_is_not_kept_and_takes_the_old_one_along(cache):
    cache.put(KEY, positive(), 0.0)
    assert cache.put(KEY, positive(0), 1.0) is None
    assert cache.get(KEY, 1.0) is None
    assert cache.used_bytes == 0


def altered(reply, at, value):
    return reply[:at] + bytes((value,)) + reply[at + 1 :]


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(positive()[:-1], id="cut off"),
        pytest.param(altered(positive(), 2, 0x83), id="truncated"),
        pytest.param(altered(positive(), 13, ord("x")), id="another name"),
        pytest.param(altered(positive(), 3, 0x85), id="REFUSED"),
        pytest.param(wire(NEGATIVE.partition(";AUTHORITY")[0]), id="negative without SOA"),
        pytest.param(wire(FAILURE + ";ANSWER\na. 9 IN A 192.0.2.1\n"), id="failure with data"),
    ],
)
def test_what_is_not_to_be_kept_is_not(cache, reply):
    assert cache.put(KEY, reply, 0.0) is None
    assert len(cache) == 0


def test_failure_is_kept_for_a_moment_and_never_given_stale(cache):
    cache.put(KEY, wire(FAILURE), 0.0)
    hit = cache.get(KEY, 4.9)
    assert (hit.entry.is_failure, hit.stale, hit.prefetch) == (True, False, False)
    assert cache.get(KEY, 5.0) is None


def test_last_tenth_of_the_time_asks_for_one_prefetch(cache):
    cache.put(KEY, positive(100), 0.0)
    assert not cache.get(KEY, 89.9).prefetch
    assert [cache.get(KEY, 90.0).prefetch for _ in range(3)] == [True, False, False]
    cache.put(KEY, positive(100), 91.0)
    assert not cache.get(KEY, 92.0).prefetch


def test_answer_is_stale_when_its_time_is_over_and_gone_after_the_limit():
    cache = Cache(CacheLimits(stale_s=50))
    cache.put(KEY, positive(100), 0.0)
    assert not cache.get(KEY, 99.9).stale
    hit = cache.get(KEY, 100.0)
    assert (hit.stale, hit.prefetch) == (True, True)
    assert ttls(hit.entry.render(100.0)) == {STALE_TTL_S}
    assert cache.get(KEY, 149.9).stale
    assert cache.get(KEY, 150.0) is None
    assert len(cache) == 0


def test_stale_answer_is_given_for_a_while_without_asking_once_asking_failed(cache):
    entry = cache.put(KEY, positive(100), 0.0)
    assert cache.failed(KEY, 101.0) is entry
    assert not cache.get(KEY, 101.0 + RECHECK_S - 1).prefetch
    assert cache.get(KEY, 101.0 + RECHECK_S).prefetch


@pytest.mark.parametrize("failure", [wire(FAILURE), altered(positive(), 3, 0x85), b""])
def test_failure_does_not_displace_an_answer_that_can_still_be_given(cache, failure):
    entry = cache.put(KEY, positive(100), 0.0)
    assert cache.put(KEY, failure, 101.0) is entry
    hit = cache.get(KEY, 102.0)
    assert (hit.entry, hit.stale, hit.prefetch) == (entry, True, False)


def test_nothing_can_be_given_where_nothing_was(cache):
    assert cache.failed(KEY, 0.0) is None
    cache.put(KEY, wire(FAILURE), 0.0)
    assert cache.failed(KEY, 0.0) is None


def test_answers_to_other_questions_are_apart(cache):
    cache.put(KEY, positive(), 0.0)
    for key in ((NAME, 28, False, False), (NAME, 1, True, False), (NAME, 1, False, True)):
        assert cache.get(key, 0.0) is None


def test_cache_stays_within_its_bytes_and_loses_what_was_asked_for_longest_ago():
    limit = 20_000
    cache = Cache(CacheLimits(size_bytes=limit))
    keys = []
    for number in range(100):
        name = bytes((4,)) + b"%04d" % number + NAME[4:]
        reply = positive()
        reply = reply[:12] + name + reply[12 + len(NAME) :]
        # The name is one byte longer: what points behind it does, too.
        reply = reply.replace(b"\xc0\x10", b"\xc0\x11")
        keys.append((name, 1, False, False))
        assert cache.put(keys[-1], reply, 0.0) is not None
        assert cache.get(keys[0], 0.0) is not None
        assert cache.used_bytes <= limit
    assert len(cache) + cache.evicted == 100
    assert cache.get(keys[1], 0.0) is None
    assert cache.get(keys[99], 0.0) is not None
    cache.clear()
    assert (len(cache), cache.used_bytes) == (0, 0)


def test_answer_that_would_take_much_of_the_cache_is_given_and_not_kept():
    cache = Cache(CacheLimits(size_bytes=2_000))
    assert cache.put(KEY, positive(), 0.0).render(0.0)
    assert len(cache) == 0
