"""Server cookies: the test vectors of RFC 9018, and how long one is good for."""

from ipaddress import ip_address

import pytest

from enforcer.dns.packets.cookies import Cookies, siphash24

SECRET = bytes.fromhex("e5e973e5a6b2a43f48e7dc849e37bfcf")
OLD_SECRET = bytes.fromhex("dd3bdf9344b678b185a6f5cb60fca715")
NEW_SECRET = bytes.fromhex("445536bcd2513298075a5d379663c962")
DESK = ip_address("198.51.100.100")
OTHER = ip_address("203.0.113.203")
V6 = ip_address("2001:db8:220:1:59de:d0f4:8769:82b8")
CLIENT_COOKIE = bytes.fromhex("2464c4abcf10c957")
FIRST = bytes.fromhex("2464c4abcf10c957010000005cf79f111f8130c3eee29480")
FIRST_S = 1559731985


def test_siphash_is_that_of_its_authors():
    """Appendix A of the paper: key 00 to 0f, fifteen bytes 00 to 0e."""
    hashed = siphash24(bytes(range(16)), bytes(range(15)))
    assert int.from_bytes(hashed, "little") == 0xA129CA6149BE45E5


@pytest.mark.parametrize(
    ("length", "expected"),
    [(0, 0x726FDB47DD0E0E31), (1, 0x74F839C593DC67FD), (8, 0x93F5F5799A932462)],
)
def test_siphash_pads_as_its_authors_do(length, expected):
    """The first of the vectors in the reference implementation."""
    hashed = siphash24(bytes(range(16)), bytes(range(length)))
    assert int.from_bytes(hashed, "little") == expected


def test_a_new_client_learns_a_server_cookie():
    """RFC 9018 A.1."""
    assert Cookies(SECRET).reply(CLIENT_COOKIE, DESK, FIRST_S) == (FIRST, False)


def test_an_old_cookie_is_renewed():
    """RFC 9018 A.2: forty minutes later."""
    renewed = bytes.fromhex("2464c4abcf10c957010000005cf7a871d4a564a1442aca77")
    assert Cookies(SECRET).reply(FIRST, DESK, 1559734385) == (renewed, True)


def test_reserved_bytes_are_part_of_what_is_hashed():
    """RFC 9018 A.3: a cookie with other reserved bytes, renewed with ours."""
    sent = bytes.fromhex("fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5")
    renewed = bytes.fromhex("fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e")
    assert Cookies(SECRET).reply(sent, OTHER, 1559734700).cookie == renewed
    assert Cookies(SECRET).reply(sent, OTHER, 0x5CF78F71 + 1800).valid


def test_a_cookie_of_the_secret_before_is_renewed_with_the_one_in_force():
    """RFC 9018 A.4."""
    sent = bytes.fromhex("22681ab97d52c298010000005cf7c57926556bd0934c72f8")
    renewed = bytes.fromhex("22681ab97d52c298010000005cf7c609a6bb79d16625507a")
    cookies = Cookies(NEW_SECRET, OLD_SECRET)
    assert cookies.reply(sent, V6, 1559741961) == (renewed, True)


@pytest.mark.parametrize("age_s", [0, 1799, -300])
def test_a_fresh_cookie_goes_back_as_it_came(age_s):
    assert Cookies(SECRET).reply(FIRST, DESK, FIRST_S + age_s) == (FIRST, True)


@pytest.mark.parametrize("age_s", [3601, -301, 86_400])
def test_a_cookie_out_of_time_is_not_ours_any_more(age_s):
    reply = Cookies(SECRET).reply(FIRST, DESK, FIRST_S + age_s)
    assert not reply.valid
    assert reply.cookie[:8] == CLIENT_COOKIE
    assert reply.cookie != FIRST


@pytest.mark.parametrize(
    ("cookie", "client"),
    [
        (FIRST, OTHER),
        (FIRST[:-1] + b"\0", DESK),
        (b"\0" + FIRST[1:], DESK),
        (FIRST[:8] + b"\x02" + FIRST[9:], DESK),
        (FIRST + b"\0", DESK),
        (FIRST[:16], DESK),
    ],
)
def test_a_cookie_that_was_not_given_to_this_client_is_none(cookie, client):
    reply = Cookies(SECRET).reply(cookie, client, FIRST_S)
    assert not reply.valid
    assert len(reply.cookie) == 24


def test_seconds_may_turn_over():
    late, early = 0xFFFFFFFF, 0x100000010
    cookies = Cookies(SECRET)
    given = cookies.reply(CLIENT_COOKIE, DESK, late).cookie
    assert cookies.reply(given, DESK, early) == (given, True)
