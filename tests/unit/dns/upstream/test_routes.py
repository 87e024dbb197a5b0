"""Which upstreams a name is for: those of the longest suffix that fits."""

import pytest

from enforcer.dns.upstream.routes import Routes
from enforcer.policy.names import to_wire

ROUTES = Routes(
    "default",
    [
        (("corp.example", "corp.test"), "corp"),
        (("lab.corp.example",), "lab"),
        (("10.in-addr.arpa",), "reverse"),
    ],
)


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("corp.example", "corp"),
        ("www.corp.example", "corp"),
        ("corp.test", "corp"),
        ("lab.corp.example", "lab"),
        ("a.b.lab.corp.example", "lab"),
        ("notlab.corp.example", "corp"),
        ("notcorp.example", "default"),
        ("example", "default"),
        ("", "default"),
        ("1.0.0.10.in-addr.arpa", "reverse"),
        ("110.in-addr.arpa", "default"),
    ],
)
def test_the_longest_suffix_that_fits_decides(name, target):
    assert ROUTES.find(to_wire(name)) == target
    assert ROUTES.has_own(to_wire(name)) == (target != "default")


def test_without_suffixes_all_go_the_same_way():
    assert Routes("default").find(to_wire("www.example")) == "default"
    assert not Routes("default").has_own(to_wire("www.example"))
