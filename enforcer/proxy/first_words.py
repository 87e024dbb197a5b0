"""What a client says first once it is let speak: the protocol, and the hello if it is TLS."""

from typing import NamedTuple

from enforcer.policy.model import Protocol
from enforcer.tls.clienthello import ClientHello, Malformed, parse_client_hello
from enforcer.tls.first_bytes import NeedMore, sniff


class FirstWords(NamedTuple):
    """What a client speaks, and the hello if it is TLS."""

    protocol: Protocol
    hello: ClientHello | None


def parse_first_words(data: bytearray) -> FirstWords | NeedMore | Malformed:
    """The protocol, and the whole hello when it is TLS."""
    protocol = sniff(data)
    if isinstance(protocol, NeedMore):
        return protocol
    if protocol is not Protocol.TLS:
        return FirstWords(protocol, None)
    hello = parse_client_hello(data)
    return FirstWords(protocol, hello) if isinstance(hello, ClientHello) else hello
