"""A blocked name that leads to an address of the company's own instead of nowhere."""

import pytest
from e2e import policies
from e2e.judges import curl, dig
from e2e.topology import EDGE, PASTE_HOST, WEB, WEB_HOST

pytestmark = pytest.mark.root

# The site that is there in any case stands for the company's page.
SINK = WEB


@pytest.fixture(scope="module")
def gateway(lab, authority):
    rule = policies.block("no-paste", suffixes=[PASTE_HOST], planes=["dns"])
    policy = policies.enforcing(rules=[{**rule, "refusal": {"sinkhole": list(SINK)}}])
    return lab.start_gateway(policy, files={policies.ROOT_FILE: authority.root_pem})


def test_blocked_name_has_the_address_of_the_sinkhole(lab, gateway):
    for kind, address in zip(("A", "AAAA"), SINK, strict=True):
        answer = dig(lab.client, f"any.{PASTE_HOST}", kind)
        assert (answer.status, answer.data) == ("NOERROR", (address,))
        assert "blocked by rule no-paste" in answer.error


def test_type_that_the_sinkhole_has_not_is_no_data(lab, gateway):
    answer = dig(lab.client, PASTE_HOST, "MX")
    assert (answer.status, answer.data) == ("NOERROR", ())


def test_sinkhole_is_on_record_as_a_block(lab, gateway):
    dig(lab.client, f"recorded.{PASTE_HOST}")
    record = gateway.audited("--name", f"recorded.{PASTE_HOST}", plane="dns", action="block")
    assert record["rule"] == "no-paste"


def test_browser_lands_at_the_sinkhole(lab, gateway, authority):
    with lab.start_web(authority.leaf(WEB_HOST)):
        page = curl(lab.client, f"http://{PASTE_HOST}/")
    assert page.code == 0, page.dialogue
    assert SINK.v4 in page.dialogue
    assert EDGE.v4 not in page.dialogue
