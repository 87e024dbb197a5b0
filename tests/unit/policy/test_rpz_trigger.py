"""Owner names of a policy zone, and what they are about."""

from ipaddress import ip_network

import pytest

from enforcer.policy.rpz_trigger import Kind, Trigger, parse_trigger


@pytest.mark.parametrize(
    ("owner", "trigger"),
    [
        ("ads.example", Trigger(Kind.QNAME, "ads.example")),
        ("*.ads.example", Trigger(Kind.QNAME, "ads.example", below=True)),
        ("com", Trigger(Kind.QNAME, "com")),
        ("ns.ads.example.rpz-nsdname", Trigger(Kind.NSDNAME, "ns.ads.example")),
        ("*.ads.example.rpz-nsdname", Trigger(Kind.NSDNAME, "ads.example", below=True)),
    ],
)
def test_a_name(owner, trigger):
    assert parse_trigger(owner) == trigger


@pytest.mark.parametrize(
    ("words", "network"),
    [
        ("32.1.2.0.192", "192.0.2.1"),
        ("24.0.2.0.192", "192.0.2.0/24"),
        ("0.0.0.0.0", "0.0.0.0/0"),
        ("128.1.zz.db8.2001", "2001:db8::1"),
        ("48.zz.db8.2001", "2001:db8::/48"),
        ("128.zz", "::"),
        ("128.1.zz", "::1"),
        ("128.8.7.6.5.4.3.2.1", "1:2:3:4:5:6:7:8"),
        ("120.4.zz.1.2.0.192", None),
        ("96.zz.1.2.3.4", "4:3:2:1::/96"),
    ],
)
@pytest.mark.parametrize("kind", [Kind.IP, Kind.CLIENT_IP, Kind.NSIP])
def test_a_range_is_written_backwards(words, network, kind):
    owner = f"{words}.rpz-{kind.value}"
    if network is None:  # host bits
        with pytest.raises(ValueError, match="host bits"):
            parse_trigger(owner)
    else:
        assert parse_trigger(owner) == Trigger(kind, network=ip_network(network))


@pytest.mark.parametrize(
    ("owner", "why"),
    [
        ("*", "it would be for every name"),
        ("*.rpz-nsdname", "it would be for every name"),
        ("rpz-nsdname", "it would be for every name"),
        ("a.*.example", "a \\* stands for a whole label"),
        ("a.rpz-what", "rpz-what is no trigger"),
        ("rpz-ip", "is no range"),
        ("33.1.2.0.192.rpz-ip", "is no range"),
        ("24.1.2.0.192.rpz-ip", "host bits"),
        ("x.1.2.0.192.rpz-ip", "is no range"),
        ("1.2.0.192.rpz-ip", "eight words"),
        ("64.zz.1.zz.rpz-ip", "eight words"),
        ("128.zz.8.7.6.5.4.3.2.1.rpz-ip", "eight words"),
        ("64.12345.zz.rpz-ip", "four digits"),
        ("64.g.zz.rpz-ip", "is no range"),
        ("-1.zz.rpz-ip", "is no range"),
    ],
)
def test_what_is_no_trigger(owner, why):
    with pytest.raises(ValueError, match=why):
        parse_trigger(owner)
