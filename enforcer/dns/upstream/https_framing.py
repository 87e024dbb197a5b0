"""DNS messages in HTTP/2 requests and responses (RFC 8484). Sans-I/O.

The key of a query is its stream. Its id is 0, as RFC 8484 4.1 wants it.
"""

from collections.abc import Callable, Container, Iterable
from typing import Final

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)
from h2.exceptions import H2Error

from enforcer.dns.upstream.stream_framing import FramingError

_MEDIA_TYPE: Final = "application/dns-message"
_MAX_MESSAGE_BYTES: Final = 0xFFFF
# What RFC 9113 6.5.2 wants every server to allow, and what holds until it says otherwise.
_MAX_STREAMS: Final = 100
_MAX_UNREAD_BYTES: Final = 1 << 17
# A name, an OPT with a cookie and a subnet: far below.
_MAX_QUERY_BYTES: Final = 512
# Text that is none (UnicodeDecodeError) and its like are not all wrapped by h2.
_NOT_HTTP: Final = (H2Error, ValueError, LookupError)


class HttpsFraming:
    """``authority`` is the name in the certificate; ``path`` as the settings have it."""

    def __init__(self, authority: str, path: str) -> None:
        self._h2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self._headers = (
            (":method", "POST"),
            (":scheme", "https"),
            (":authority", authority),
            (":path", path),
            ("accept", _MEDIA_TYPE),
            ("content-type", _MEDIA_TYPE),
        )
        self._bodies: dict[int, bytearray] = {}
        self.is_ending = False
        self._unread_bytes = 0

    @property
    def has_room(self) -> bool:
        h2 = self._h2
        allowed = min(h2.remote_settings.max_concurrent_streams, _MAX_STREAMS)
        return bool(
            not self.is_ending
            and h2.open_outbound_streams < allowed
            and h2.outbound_flow_control_window > _MAX_QUERY_BYTES
        )

    def start(self) -> bytes:
        self._h2.initiate_connection()
        return self.answer()

    def choose_id(self, taken: Container[int], random_id: Callable[[], int]) -> int:  # noqa: ARG002 the stream tells queries apart
        return 0

    def send(self, message: bytes) -> tuple[int, bytes]:
        try:
            stream = self._h2.get_next_available_stream_id()
            length = ("content-length", str(len(message)))
            self._h2.send_headers(stream, (*self._headers, length))
            self._h2.send_data(stream, message, end_stream=True)
        except _NOT_HTTP as error:
            raise FramingError(str(error)) from None
        return stream, self.answer()

    def receive(self, data: bytes) -> Iterable[tuple[int, bytes | None]]:
        try:
            events = self._h2.receive_data(data)
            # A frame is checked once it is whole, and may claim to have 16 MiB.
            self._unread_bytes = 0 if events else self._unread_bytes + len(data)
            if self._unread_bytes > _MAX_UNREAD_BYTES:
                raise FramingError("a frame without an end")
            return [reply for event in events for reply in self._take(event)]
        except _NOT_HTTP as error:
            raise FramingError(str(error)) from None

    def answer(self) -> bytes:
        return bytes(self._h2.data_to_send())

    def _take(self, event: Event) -> Iterable[tuple[int, bytes | None]]:
        match event:
            case ResponseReceived():
                if _is_dns(event):
                    self._bodies[event.stream_id] = bytearray()
                else:
                    yield event.stream_id, None
            case DataReceived():
                self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                body = self._bodies.get(event.stream_id)
                if body is not None:
                    body += event.data
                    if len(body) > _MAX_MESSAGE_BYTES:
                        del self._bodies[event.stream_id]
                        self._h2.reset_stream(event.stream_id, ErrorCodes.CANCEL)
                        yield event.stream_id, None
            case StreamEnded():
                body = self._bodies.pop(event.stream_id, None)
                if body is not None:
                    yield event.stream_id, bytes(body)
            case StreamReset():
                self._bodies.pop(event.stream_id, None)
                yield event.stream_id, None
            case ConnectionTerminated():
                self.is_ending = True


def _is_dns(response: ResponseReceived) -> bool:
    headers = dict(response.headers or ())
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    return headers.get(":status") == "200" and kind == _MEDIA_TYPE
