"""Way round: asking a public resolver, over UDP or TCP on port 53, instead of the company's.

Closed by: the redirect of port 53, which brings the question to the DNS plane whoever it
was sent to.
"""

import pytest
from e2e.judges import dig
from e2e.topology import CONNECT_URL, DEFAULT_INGRESS, EDGE, PUBLIC_RESOLVER

pytestmark = pytest.mark.root


@pytest.mark.parametrize("transport", ["+notcp", "+tcp"])
@pytest.mark.parametrize("resolver", PUBLIC_RESOLVER)
def test_question_to_a_public_resolver_is_answered_by_the_gateway(
    lab, gateway, resolver, transport
):
    refused = dig(lab.client, transport, f"@{resolver}", DEFAULT_INGRESS)
    assert refused.server == resolver
    assert refused.status == "NXDOMAIN"
    assert "ngrok-connect" in refused.error
    allowed = dig(lab.client, transport, f"@{resolver}", CONNECT_URL)
    assert allowed.data == (EDGE.v4,)


def test_public_resolver_itself_would_have_answered(lab, gateway):
    """Else the test above shows nothing."""
    answer = dig(lab.internet, f"@{PUBLIC_RESOLVER.v4}", DEFAULT_INGRESS)
    assert answer.data == (EDGE.v4,)
