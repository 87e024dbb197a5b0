"""The one rule that is built in, and that no policy changes: ``gateway-address``.

Which names and addresses are allowed is the policy's business. The exception is what
would turn the gateway against itself.
"""

from enforcer.policy.model import Action, Address, Mode, Request, Source, Verdict

RULE = "gateway-address"


def exposes_gateway(address: Address, client: Address | None) -> bool:
    """Whether only the gateway itself could reach this, and the client asks from elsewhere.

    Its own services on loopback (the admin pages are there), and what it alone has on
    its link, such as a cloud's metadata service. Squid denies the same by default
    (to_localhost, to_linklocal). A client that is not known is one from elsewhere.
    """
    private = address.is_loopback or address.is_link_local or address.is_unspecified
    here = client is not None and client.is_loopback
    return (private or address.is_multicast) and not here


def refuse_gateway_address(request: Request, mode: Mode) -> Verdict:
    """The verdict on a request that would; a block in monitor mode too."""
    return Verdict(
        action=Action.BLOCK,
        rule=RULE,
        reason=f"{request.address} is for the gateway itself",
        source=Source("built in", 0),
        mode=mode,
    )
