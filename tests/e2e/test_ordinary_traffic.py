"""What the gateway must not harm: the CRL that agents fetch, and everybody else's traffic."""

import pytest
from e2e.gateway import PROXY_PORT
from e2e.judges import curl, dig, shake_hands
from e2e.topology import BIG_TXT_HOST, CRL_HOST, DEFAULT_INGRESS, GATEWAY, WEB, WEB_HOST
from e2e.web import PAGES
from e2e.zones import BIG_TXT_STRING_BYTES, BIG_TXT_STRINGS

pytestmark = pytest.mark.root

CRL_URL = f"http://{CRL_HOST}/ngrok.crl"
PROXY = f"{GATEWAY.v4}:{PROXY_PORT}"
PAGE = PAGES[b"/"].decode()
THROUGH = pytest.mark.parametrize(
    "through",
    [[], ["--proxy", f"http://{PROXY}"], ["--proxy", f"socks5h://{PROXY}"]],
    ids=["direct", "connect", "socks5"],
)


@pytest.fixture(scope="module")
def web(lab, gateway, authority):
    leaf = authority.leaf(WEB_HOST)
    lab.start_web(leaf)
    return leaf


@pytest.fixture
def trust(authority, tmp_path):
    path = tmp_path / "root.pem"
    path.write_bytes(authority.root_pem)
    return str(path)


@THROUGH
def test_crl_is_fetched_in_the_clear_byte_for_byte(lab, web, tmp_path, through):
    file = tmp_path / "fetched.crl"
    fetch = curl(lab.client, *through, "--output", str(file), CRL_URL)
    assert fetch.code == 0, fetch.dialogue
    assert file.read_bytes() == PAGES[b"/ngrok.crl"]


@THROUGH
def test_ordinary_site_over_tls_is_itself(lab, web, trust, through):
    fetch = curl(lab.client, *through, "--cacert", trust, f"https://{WEB_HOST}/")
    assert fetch.body == PAGE, fetch.dialogue


@THROUGH
@pytest.mark.parametrize("page", ["/", "/missing"])
def test_ordinary_site_in_the_clear_is_itself(lab, web, through, page):
    fetch = curl(lab.client, *through, f"http://{WEB_HOST}{page}")
    assert fetch.body == (PAGE if page == "/" else ""), fetch.dialogue
    assert ("404 Not Found" in fetch.dialogue) == (page == "/missing")


@pytest.mark.parametrize("address", WEB)
def test_certificate_of_an_ordinary_site_is_its_own(lab, web, trust, address):
    handshake = shake_hands(lab.client, address, WEB_HOST, "-verify_return_error", "-CAfile", trust)
    assert handshake.certificate == web.chain_pem.decode().partition("\n-----BEGIN")[0].strip()


def test_ordinary_traffic_is_not_on_record(lab, gateway, web, trust):
    curl(lab.client, "--cacert", trust, f"https://{WEB_HOST}/")
    dig(lab.client, WEB_HOST)
    counted = gateway.count("enforcer_tls_connections_total", action="allow", entrance="tls")
    assert counted > 0
    # What comes later is on record by now, so what came before would be.
    dig(lab.client, DEFAULT_INGRESS)
    gateway.audited("--name", DEFAULT_INGRESS)
    assert gateway.audit("--name", WEB_HOST) == []


@pytest.mark.parametrize("options", [[], ["+tcp"], ["+bufsize=512"], ["+noedns"]], ids=str)
def test_large_answer_comes_whole(lab, gateway, options):
    """20 strings of 200 bytes fit in no datagram: truncated, then asked again over TCP."""
    answer = dig(lab.client, *options, BIG_TXT_HOST, "TXT")
    assert len(answer.data) == 1, answer
    assert answer.data[0].count('"') == 2 * BIG_TXT_STRINGS
    assert answer.data[0].count("x") == BIG_TXT_STRINGS * BIG_TXT_STRING_BYTES


def test_large_answer_over_udp_is_truncated(lab, gateway):
    answer = dig(lab.client, "+ignore", BIG_TXT_HOST, "TXT")
    assert (answer.status, answer.data) == ("NOERROR", ())


def test_name_that_is_not_there_is_not_there(lab, gateway):
    answer = dig(lab.client, "nowhere.example.org")
    assert (answer.status, answer.error) == ("NXDOMAIN", "")


def test_both_families_are_answered(lab, gateway):
    for kind, address in zip(("A", "AAAA"), WEB, strict=True):
        assert dig(lab.client, WEB_HOST, kind).data == (address,)


def test_site_that_does_not_answer_is_told_so_by_the_proxy(lab, gateway, web):
    fetch = curl(lab.client, "--proxy", f"http://{PROXY}", f"https://{WEB_HOST}:444/")
    assert "< HTTP/1.1 502 Bad Gateway" in fetch.dialogue
    assert "error=connection_refused" in fetch.dialogue
