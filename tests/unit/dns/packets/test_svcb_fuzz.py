"""Any reply: what must go is gone, what is left says the same, and nothing raises."""

from ipaddress import ip_address

import dns.message
import dns.rrset
from hypothesis import given, settings
from hypothesis import strategies as st

from enforcer.dns.packets.answer import parse_answer
from enforcer.dns.packets.rebuild import rebuild
from enforcer.dns.packets.svcb import Strip, strip_services

HINTS = ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"]
names = st.sampled_from([".", "a.test.", "svc.a.test.", "other.test."])


@st.composite
def services(draw):
    """The data of a HTTPS record, of any parameters."""
    v4 = draw(st.lists(st.sampled_from(HINTS[:2]), unique=True))
    v6 = draw(st.lists(st.sampled_from(HINTS[2:]), unique=True))
    params = {
        "alpn": draw(st.sampled_from(["", "h2", "h2,h3"])),
        "port": draw(st.sampled_from(["", "8443"])),
        "ipv4hint": ",".join(v4),
        "ech": draw(st.sampled_from(["", "AAT+DQAA"])),
        "ipv6hint": ",".join(v6),
        "key667": draw(st.sampled_from(["", "x"])),
    }
    present = [key for key, value in params.items() if value]
    mandatory = draw(st.lists(st.sampled_from(present), unique=True)) if present else []
    if mandatory:
        params = {"mandatory": ",".join(mandatory), **params}
    written = " ".join(f"{key}={value}" for key, value in params.items() if value)
    return f"{draw(st.integers(1, 3))} {draw(names)} {written}"


@st.composite
def replies(draw):
    message = dns.message.make_response(dns.message.make_query("a.test.", "HTTPS", use_edns=0))
    if draw(st.booleans()):
        message.answer.append(dns.rrset.from_text("a.test.", 60, "IN", "CNAME", "b.a.test."))
    answers = draw(st.lists(services(), min_size=1, max_size=3))
    message.answer.append(dns.rrset.from_text("b.a.test.", 60, "IN", "HTTPS", *answers))
    message.authority.append(dns.rrset.from_text("test.", 60, "IN", "NS", "ns.svc.a.test."))
    if draw(st.booleans()):
        extra = dns.rrset.from_text("svc.a.test.", 60, "IN", "HTTPS", draw(services()))
        message.additional.append(extra)
    return message


strips = st.builds(
    Strip, st.booleans(), st.frozensets(st.sampled_from([ip_address(hint) for hint in HINTS]))
)


@given(replies(), strips)
@settings(max_examples=60)
def test_what_must_go_is_gone_and_the_rest_says_the_same(message, strip):
    # dnspython writes the records of a set in any order.
    reply = message.to_wire()
    answer = parse_answer(reply)
    stripped = strip_services(reply, answer, strip)
    left = parse_answer(stripped)
    assert not (strip.ech and any(service.ech for service in left.services))
    assert strip.hints.isdisjoint(hint for service in left.services for hint in service.hints)
    # Services come out of the wire in the order in which they went in.
    for before, after in zip(answer.services, left.services, strict=False):
        assert after.ech == (before.ech and not strip.ech)
        assert after.hints == tuple(hint for hint in before.hints if hint not in strip.hints)
    assert left.aliases == answer.aliases
    assert left.ttl_s == answer.ttl_s
    # dnspython takes no mandatory key that is not there, nor keys out of order.
    read = dns.message.from_wire(stripped)
    assert read.authority == message.authority
    assert read.edns == 0


@given(
    replies(),
    strips,
    st.lists(st.tuples(st.integers(12, 400), st.integers(0, 255)), max_size=4),
    st.integers(0, 400),
)
@settings(max_examples=60)
def test_damaged_reply_is_stripped_or_given_up(message, strip, changes, cut):
    damaged = bytearray(message.to_wire())
    for at, value in changes:
        if at < len(damaged):
            damaged[at] = value
    damaged = bytes(damaged[: len(damaged) - cut if cut < 40 else None])
    answer = parse_answer(damaged)
    rebuilt = rebuild(damaged, {})
    if answer is None:
        return
    assert rebuilt is None or parse_answer(rebuilt) is not None
    stripped = strip_services(damaged, answer, strip)
    if stripped is not None and stripped != damaged:
        left = parse_answer(stripped)
        assert not (strip.ech and any(service.ech for service in left.services))
        assert strip.hints.isdisjoint(hint for service in left.services for hint in service.hints)
