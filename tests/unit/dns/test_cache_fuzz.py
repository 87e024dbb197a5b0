"""Any reply: the cache never raises, and says again what it was told."""

import dns.exception
import dns.message
import dns.name
import dns.rrset
from hypothesis import given, settings
from hypothesis import strategies as st

from enforcer.dns.cache import Cache, CacheLimits
from enforcer.dns.packets.answer import parse_answer

NAME = b"\1a\4test\0"
KEY = (NAME, 1, False, False)
LIMITS = CacheLimits(size_bytes=16_000, stale_s=100)
owners = st.sampled_from(["a.test.", "b.test.", "c.b.test.", "Test.", "."])
records = st.one_of(
    st.tuples(st.just("A"), st.sampled_from(["192.0.2.1", "192.0.2.2"])),
    st.tuples(st.just("AAAA"), st.sampled_from(["2001:db8::1", "2001:db8::2"])),
    st.tuples(st.sampled_from(["CNAME", "NS", "DNAME"]), owners),
    st.tuples(st.just("MX"), owners.map("10 {}".format)),
    st.tuples(st.just("SOA"), owners.map("ns.test. {} 1 2 3 4 50".format)),
    st.tuples(st.just("HTTPS"), owners.map("1 {} alpn=h2 ipv4hint=192.0.2.1".format)),
    st.tuples(st.just("TXT"), st.sampled_from(['"x"', '"\\192\\012"'])),
)
sections = st.lists(st.tuples(owners, st.integers(0, 1 << 31), records), max_size=4)


@st.composite
def messages(draw):
    """A reply to a.test A, of any records."""
    message = dns.message.make_response(dns.message.make_query("a.test.", "A"))
    message.set_rcode(draw(st.sampled_from([0, 0, 0, 2, 3, 5])))
    for section in message.sections[1:]:
        for owner, ttl, (kind, data) in draw(sections):
            rrset = dns.rrset.from_text(owner, min(ttl, (1 << 31) - 1), "IN", kind, data)
            if all(not rrset.match(old.name, old.rdclass, old.rdtype, 0) for old in section):
                section.append(rrset)
    if draw(st.booleans()):
        message.use_edns(0, payload=1232)
    return message


def uncompressed(message):
    """The same message, with each name in full."""
    out = bytearray(message.to_wire()[:12])
    for rrset in message.question:
        out += rrset.name.to_wire() + b"\0\1\0\1"
    for section in message.sections[1:]:
        for rrset in section:
            for rdata in rrset:
                data = rdata.to_wire()
                out += rrset.name.to_wire() + int(rrset.rdtype).to_bytes(2, "big") + b"\0\1"
                out += rrset.ttl.to_bytes(4, "big") + len(data).to_bytes(2, "big") + data
    if message.edns >= 0:
        out += b"\0\0\x29\4\xd0\0\0\0\0\0\0"
    return bytes(out)


def told(message):
    """All that a reply says, TTLs left out."""
    return message.rcode(), message.flags, message.sections


@given(messages(), st.floats(0, 500))
@settings(max_examples=60)
def test_what_comes_out_is_what_went_in_and_no_ttl_has_grown(message, later_s):
    reply = message.to_wire()
    entry = Cache(LIMITS).put(KEY, reply, 1000.0)
    if entry is None:
        return
    for now_s in (1000.0, 1000.0 + later_s):
        rendered = dns.message.from_wire(entry.render(now_s))
        assert rendered.id == 0
        assert told(rendered) == told(dns.message.from_wire(reply))
        if now_s < entry.expires_s:
            sections = zip(message.sections[1:], rendered.sections[1:], strict=True)
            for old, new in sections:
                assert all(b.ttl <= a.ttl for a, b in zip(old, new, strict=True))


@given(messages())
@settings(max_examples=60)
def test_answer_is_the_same_whatever_the_compression(message):
    """Offsets aside."""
    compressed, full = parse_answer(message.to_wire()), parse_answer(uncompressed(message))
    assert compressed[:2] == full[:2]
    assert compressed.ttl_s == full.ttl_s
    assert compressed.negative == full.negative
    assert [service[4:] for service in compressed.services] == [
        service[4:] for service in full.services
    ]


@given(
    st.lists(
        st.tuples(
            st.one_of(st.binary(max_size=80), messages().map(dns.message.Message.to_wire)),
            st.floats(0, 1000),
            st.integers(0, 255),
            st.integers(0, 255),
        ),
        max_size=6,
    )
)
@settings(max_examples=50)
def test_any_bytes_are_kept_or_not_within_the_limits(steps):
    cache = Cache(LIMITS)
    for reply, now_s, at, value in steps:
        changed = bytearray(reply)
        if at < len(changed):
            changed[at] = value
        entry = cache.put(KEY, bytes(changed), now_s)
        hit = cache.get(KEY, now_s)
        if entry is not None:
            assert len(entry.render(now_s)) <= 0xFFFF
            if hit is not None:
                assert hit.entry is entry
        assert 0 <= cache.used_bytes <= LIMITS.size_bytes
