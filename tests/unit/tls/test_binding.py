"""Which address was given to which client for which name."""

from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from enforcer.tls.binding import (
    GRACE_S,
    MAX_ADDRESSES,
    MAX_ANSWERS,
    MAX_NAMES_PER_CLIENT,
    Bindings,
)

CLIENT, OTHER_CLIENT = map(ip_address, ("10.0.0.1", "10.0.0.2"))
A, B, V6 = map(ip_address, ("192.0.2.1", "192.0.2.2", "2001:db8::1"))
NAME = "www.example.net"


def bound(*addresses, ttl_s=60, now_s=0.0):
    bindings = Bindings()
    bindings.remember(CLIENT, NAME, addresses, ttl_s, now_s)
    return bindings


def test_client_may_use_the_address_that_it_was_given_for_the_name():
    bindings = bound(A)
    assert bindings.holds(CLIENT, NAME, A, 0.0)
    assert not bindings.holds(CLIENT, NAME, B, 0.0)
    assert not bindings.holds(CLIENT, "other.example.net", A, 0.0)
    assert not bindings.holds(OTHER_CLIENT, NAME, A, 0.0)


def test_binding_lasts_for_its_ttl_and_the_grace():
    bindings = bound(A, ttl_s=60, now_s=5.0)
    assert bindings.holds(CLIENT, NAME, A, 64.9 + GRACE_S)
    assert not bindings.holds(CLIENT, NAME, A, 65.0 + GRACE_S)


def test_both_families_are_held():
    bindings = bound(A)
    bindings.remember(CLIENT, NAME, (V6,), 60, 1.0)
    bindings.remember(CLIENT, NAME, (A,), 60, 2.0)
    assert all(bindings.holds(CLIENT, NAME, address, 3.0) for address in (A, V6))
    assert len(bindings) == 1


def test_earlier_answer_is_held_while_its_time_lasts_and_not_for_ever():
    bindings = bound(A, ttl_s=10)
    bindings.remember(CLIENT, NAME, (B,), 10, 5.0)
    assert bindings.holds(CLIENT, NAME, A, 6.0)
    bindings.remember(CLIENT, NAME, (B,), 10, 20.0 + GRACE_S)
    assert not bindings.holds(CLIENT, NAME, A, 21.0 + GRACE_S)


def test_shorter_answer_takes_no_time_from_a_longer_one():
    bindings = bound(A, ttl_s=600)
    bindings.remember(CLIENT, NAME, (V6,), 10, 0.0)
    assert bindings.holds(CLIENT, NAME, A, 590.0 + GRACE_S)


def test_same_answer_lasts_longer_when_it_is_given_again():
    addresses = (A,)
    bindings = bound(*addresses)
    bindings.remember(CLIENT, NAME, addresses, 60, 100.0)
    assert bindings.holds(CLIENT, NAME, A, 150.0 + GRACE_S)


def test_address_of_a_service_target_is_held_for_the_name_that_leads_there():
    bindings = bound(B)
    bindings.remember(CLIENT, NAME, (), 60, 0.0, ("svc.example.net",))
    assert not bindings.holds(CLIENT, NAME, A, 0.0)
    bindings.remember(CLIENT, "svc.example.net", (A,), 60, 0.0)
    assert bindings.holds(CLIENT, NAME, A, 0.0)
    assert bindings.holds(CLIENT, NAME, B, 0.0)
    # A later answer without targets does not undo them.
    bindings.remember(CLIENT, NAME, (V6,), 60, 1.0)
    assert bindings.holds(CLIENT, NAME, A, 1.0)


def test_answers_that_vary_with_each_query_are_bounded():
    bindings = Bindings()
    addresses = [ip_address(f"198.51.100.{number}") for number in range(MAX_ANSWERS + 4)]
    for address in addresses:
        bindings.remember(CLIENT, NAME, (address,), 60, 0.0)
    held = [bindings.holds(CLIENT, NAME, address, 0.0) for address in addresses]
    assert held == [False] * 4 + [True] * MAX_ANSWERS


def test_addresses_of_a_name_are_bounded_however_many_an_answer_has():
    bindings = Bindings()
    many, more = (
        tuple(ip_address(f"2001:db8:{half}::{number:x}") for number in range(2000))
        for half in (1, 2)
    )
    for answer in (many, more):
        bindings.remember(CLIENT, NAME, answer, 60, 0.0)
    held = [address for address in (*many, *more) if bindings.holds(CLIENT, NAME, address, 0.0)]
    assert held == list(more[:MAX_ADDRESSES])


def test_client_with_very_many_names_loses_its_own_oldest_and_nobody_elses():
    bindings = Bindings()
    bindings.remember(OTHER_CLIENT, NAME, (A,), 60, 0.0)
    for number in range(MAX_NAMES_PER_CLIENT * 3):
        bindings.remember(CLIENT, f"n{number}.test", (A,), 60, 0.0)
        assert len(bindings) <= MAX_NAMES_PER_CLIENT + 1
    assert not bindings.holds(CLIENT, "n0.test", A, 0.0)
    assert bindings.holds(CLIENT, f"n{MAX_NAMES_PER_CLIENT * 3 - 1}.test", A, 0.0)
    assert bindings.holds(OTHER_CLIENT, NAME, A, 0.0)


def test_client_that_asked_longest_ago_goes_when_the_whole_is_full():
    bindings = Bindings(max_bindings=4)
    clients = [ip_address(f"10.0.0.{number}") for number in range(3)]
    for now_s, client in enumerate(clients[:2]):
        bindings.remember(client, "a.test", (A,), 60, now_s)
        bindings.remember(client, "b.test", (A,), 60, now_s)
    bindings.remember(clients[0], "a.test", (A,), 60, 30.0)
    bindings.remember(clients[2], "a.test", (A,), 60, 31.0)
    assert [bindings.holds(client, "a.test", A, 31.0) for client in clients] == [True, False, True]
    assert len(bindings) == 3


clients = st.sampled_from([CLIENT, OTHER_CLIENT, ip_address("10.0.0.3")])
names = st.sampled_from(["a.test", "b.test", "c.test"])
addresses = st.sampled_from([A, B, V6])


@given(
    st.lists(st.tuples(clients, names, st.lists(addresses, max_size=2), st.integers(0, 900))),
    clients,
    names,
    addresses,
)
def test_what_was_given_lately_is_held_and_nothing_that_was_not_given(steps, client, name, address):
    bindings = Bindings(max_bindings=100)
    now_s = 0.0
    given_at_s = None
    for asked_by, asked_for, told, later_s in steps:
        now_s += later_s
        bindings.remember(asked_by, asked_for, tuple(told), 60, now_s)
        if (asked_by, asked_for) == (client, name) and address in told:
            given_at_s = now_s
    if bindings.holds(client, name, address, now_s):
        assert given_at_s is not None
    else:
        assert given_at_s is None or now_s >= given_at_s + 60 + GRACE_S
