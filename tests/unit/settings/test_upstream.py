"""An upstream as settings write it, and what is none."""

import pytest

from enforcer.settings.endpoint import Endpoint
from enforcer.settings.upstream import Transport, Upstream, parse_upstream

DOT = Upstream("192.0.2.53", 853, Transport.TLS, "dns.example")
DOH = Upstream("192.0.2.53", 443, Transport.HTTPS, "dns.example", "/dns-query")


@pytest.mark.parametrize(
    ("text", "upstream"),
    [
        ("192.0.2.53", Upstream("192.0.2.53")),
        ("192.0.2.53:5353", Upstream("192.0.2.53", 5353)),
        ("udp://192.0.2.53", Upstream("192.0.2.53")),
        ("2001:DB8::53", Upstream("2001:db8::53")),
        ("[2001:db8::53]", Upstream("2001:db8::53")),
        ("[2001:db8::53]:5353", Upstream("2001:db8::53", 5353)),
        ("tcp://192.0.2.53", Upstream("192.0.2.53", 53, Transport.TCP)),
        ("tls://192.0.2.53#dns.example", DOT),
        ("TLS://192.0.2.53:853#DNS.Example.", DOT),
        ("tls://[2001:db8::53]#dns.example", DOT._replace(host="2001:db8::53")),
        ("https://192.0.2.53#dns.example", DOH),
        ("https://192.0.2.53/#dns.example", DOH),
        ("https://192.0.2.53:8443/q#dns.example", DOH._replace(port=8443, path="/q")),
    ],
)
def test_an_upstream_is_an_address_and_what_it_speaks(text, upstream):
    assert parse_upstream(text) == upstream
    assert parse_upstream(str(upstream)) == upstream
    assert upstream.endpoint == Endpoint(upstream.host, upstream.port)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("", "write it as 192.0.2.53"),
        ("dns.example", "write it as 192.0.2.53"),
        ("tls://dns.example", "write it as 192.0.2.53"),
        ("192.0.2.53:0", "write 53"),
        ("tls://192.0.2.53:0#dns.example", "write 853"),
        ("127.0.0.1:99999", "ports go up to 65535"),
        ("tls://[2001:db8::53]:65536#dns.example", "ports go up to 65535"),
        ("quic://192.0.2.53", "write tcp://, tls:// or https://"),
        ("tls://192.0.2.53", "add it after a #"),
        ("tls://192.0.2.53#", "add it after a #"),
        ("https://192.0.2.53/dns-query", "add it after a #"),
        ("tls://192.0.2.53#not a name", "use letters"),
        ("tcp://192.0.2.53#dns.example", "write tls://"),
        ("tls://192.0.2.53/dns-query#dns.example", "remove /dns-query"),
        ("https://192.0.2.53/a b#dns.example", "write it percent-encoded"),
    ],
)
def test_what_is_no_upstream_is_refused_with_a_remedy(text, remedy):
    with pytest.raises(ValueError, match="; ") as caught:
        parse_upstream(text)
    assert remedy in str(caught.value).partition("; ")[2]
