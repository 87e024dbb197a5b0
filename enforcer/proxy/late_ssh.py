"""A client that begins with something else, and then speaks SSH.

Its first bytes are judged without a wait for more, since a client may say a line and then
listen. Servers that look for SSH behind other lines look no further than MAX_SSH_BYTES, so
what a client says is read along that far.
"""

from collections.abc import Callable

from enforcer.proxy.splice import Splice
from enforcer.tls.first_bytes import MAX_SSH_BYTES, begins_ssh


class LateSsh:
    """The watch of one splice; ``admits`` is asked once, when the client turns out so."""

    __slots__ = ("_admits", "_said", "_splice")

    def __init__(self, splice: Splice, admits: Callable[[], bool]) -> None:
        self._splice = splice
        self._admits = admits
        self._said = bytearray()

    def __call__(self, data: bytes) -> bool:
        self._said += data[: MAX_SSH_BYTES - len(self._said)]
        if begins_ssh(self._said):
            self._splice.unwatch()
            if not self._admits():
                self._splice.abort()
                return False
        elif len(self._said) >= MAX_SSH_BYTES:
            self._splice.unwatch()
        return True
