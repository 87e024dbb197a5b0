"""A client that validates DNSSEC itself, behind the gateway: what is signed arrives as it was."""

import pytest
from e2e.judges import delv, dig
from e2e.topology import SIGNED_HOST, SIGNED_ZONE, WEB

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def anchor(lab, tmp_path_factory):
    path = tmp_path_factory.mktemp("delv") / "anchor.conf"
    path.write_text(lab.trust_anchor, encoding="utf-8")
    return path


def test_signed_name_is_fully_validated(lab, gateway, anchor):
    said = delv(lab.client, anchor, SIGNED_ZONE, SIGNED_HOST)
    assert "; fully validated" in said, said
    assert WEB.v4 in said


def test_validated_again_out_of_the_cache(lab, gateway, anchor):
    for _ in range(2):
        assert "; fully validated" in delv(lab.client, anchor, SIGNED_ZONE, SIGNED_HOST)


def test_that_a_name_is_not_there_is_validated_too(lab, gateway, anchor):
    said = delv(lab.client, anchor, SIGNED_ZONE, f"gone.{SIGNED_ZONE}")
    assert "; negative response, fully validated" in said, said


def test_signatures_are_for_who_asks_for_them(lab, gateway):
    assert not any("RRSIG" in line for line in dig(lab.client, SIGNED_HOST).data)
    assert len(dig(lab.client, SIGNED_HOST).data) == 1
    assert len(dig(lab.client, "+dnssec", SIGNED_HOST).data) == 2
