"""A UDP socket read and written many datagrams at a time (recvmmsg(2), sendmmsg(2)).

The socket module moves one datagram a call and makes objects of its address; here one
call takes a batch, and an address stays the bytes that the kernel wrote. Decision 0008
has the figures.

On a wildcard address each datagram keeps the address that it was sent to (IP_PKTINFO),
and its answer leaves from there, by whichever interface the routes say.
"""

import ctypes
import socket
from collections.abc import Callable
from typing import Final, NamedTuple

from enforcer.policy.addresses import parse_address

# Enough for one look at the socket; more would only make the first wait for the last.
BATCH: Final = 64
# A query is one name and OPT. What is longer is cut off, and so can be no query.
MAX_QUERY_BYTES: Final = 1280
MAX_ANSWER_BYTES: Final = 1280
# Room for sockaddr_in6, and for one control message with in6_pktinfo.
_NAME_BYTES: Final = 32
_CONTROL_BYTES: Final = 40
# Constants of Linux that Python 3.11 and 3.13 do not name.
_IP_PKTINFO: Final = 8
_ADDRESS: Final = {socket.AF_INET: slice(4, 8), socket.AF_INET6: slice(8, 24)}
_PORT: Final = slice(2, 4)
_CONTROL: Final = {socket.AF_INET: 32, socket.AF_INET6: 40}
# Where the interface stands there, in words of four bytes: first in in_pktinfo, last in
# in6_pktinfo.
_INTERFACE: Final = {socket.AF_INET: 4, socket.AF_INET6: 8}


class _IoVec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _MsgHdr(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("iov", ctypes.c_void_p),
        ("iov_length", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _MMsgHdr(ctypes.Structure):
    _fields_ = (("header", _MsgHdr), ("length", ctypes.c_uint))


# PyDLL keeps the GIL: these calls do not wait, and letting go of it at each would let a
# thread that loads a policy hold it for a switch interval.
_libc = ctypes.PyDLL(None)
_recvmmsg = _libc.recvmmsg
_recvmmsg.argtypes = (
    ctypes.c_int,
    ctypes.c_void_p,
    ctypes.c_uint,
    ctypes.c_int,
    ctypes.c_void_p,
)
_sendmmsg = _libc.sendmmsg
_sendmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)


class ReturnPath(NamedTuple):
    """Where a datagram came from and was sent to, as the kernel wrote it."""

    name: bytes
    control: bytes


# A packet and its client's packed address to the answer, or None: it is handed on.
Quick = Callable[[bytes, bytes], bytes | None]
# The same and the way back; whoever takes it answers with ``send``, or not.
HandOn = Callable[[bytes, bytes, ReturnPath], None]


class _Messages:
    """``count`` messages in memory that does not move: their bytes, addresses and headers."""

    def __init__(self, count: int, size_bytes: int, family: int, *, control: bool) -> None:
        self.data = bytearray(count * size_bytes)
        self.names = bytearray(count * _NAME_BYTES)
        self.controls = bytearray(count * _CONTROL_BYTES)
        self.iovs = (_IoVec * count)()
        self.headers = (_MMsgHdr * count)()
        # While there is a view of it, Python refuses to give it another size, and so place.
        self.data_view = memoryview(self.data)
        self.names_view = memoryview(self.names)
        self.controls_view = memoryview(self.controls)
        data, names, controls = map(_address_of, (self.data, self.names, self.controls))
        name_length = 16 if family == socket.AF_INET else 28
        for at in range(count):
            self.iovs[at].base = data + at * size_bytes
            self.iovs[at].length = size_bytes
            header = self.headers[at].header
            header.name = names + at * _NAME_BYTES
            header.name_length = name_length
            header.iov = ctypes.addressof(self.iovs) + at * ctypes.sizeof(_IoVec)
            header.iov_length = 1
            if control:
                header.control = controls + at * _CONTROL_BYTES
                header.control_length = _CONTROL[socket.AddressFamily(family)]
        self.address = ctypes.addressof(self.headers)
        # What is read and written for each datagram, without ctypes' objects in between.
        self.received = memoryview(self.headers).cast("B").cast("I")
        self.lengths = memoryview(self.iovs).cast("B").cast("L")


def _address_of(memory: bytearray) -> int:
    return ctypes.addressof((ctypes.c_char * len(memory)).from_buffer(memory))


_HEADER_BYTES: Final = ctypes.sizeof(_MMsgHdr)
_RECEIVED_STEP: Final = _HEADER_BYTES // 4
_RECEIVED_AT: Final = _MMsgHdr.length.offset // 4


class Datagrams:
    """A bound, non-blocking UDP socket of one family."""

    def __init__(self, sock: socket.socket, *, batch: int = BATCH) -> None:
        self.sock = sock
        self._fd = sock.fileno()
        self._batch = batch
        wildcard = parse_address(sock.getsockname()[0]).is_unspecified
        if wildcard and sock.family == socket.AF_INET:
            sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        elif wildcard:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        self._address = _ADDRESS[socket.AddressFamily(sock.family)]
        self._wildcard = wildcard
        self._in = _Messages(batch, MAX_QUERY_BYTES, sock.family, control=wildcard)
        self._out = _Messages(batch, MAX_ANSWER_BYTES, sock.family, control=wildcard)
        self._late = _Messages(1, MAX_ANSWER_BYTES, sock.family, control=wildcard)
        # An answer goes where the question of the same place came from.
        for at in range(batch):
            answer, question = self._out.headers[at].header, self._in.headers[at].header
            answer.name, answer.control = question.name, question.control
        self._in_data, self._in_names = self._in.data_view, self._in.names_view
        interface = _INTERFACE[socket.AddressFamily(sock.family)]
        self._interfaces = self._in.controls_view.cast("I")[interface :: _CONTROL_BYTES // 4]
        self._no_interfaces = memoryview(bytes(batch * 4)).cast("I")
        self._places = [self._place(at) for at in range(batch)]

    def _place(self, at: int) -> tuple[int, ...]:
        """Where what belongs to a datagram of a batch stands; looked up, not worked out."""
        address = self._address
        return (
            at,
            at * _RECEIVED_STEP + _RECEIVED_AT,
            at * MAX_QUERY_BYTES,
            at * _NAME_BYTES + address.start,
            at * _NAME_BYTES + address.stop,
            at * MAX_ANSWER_BYTES,
            at * 2 + 1,
        )

    def take(self, quick: Quick, hand_on: HandOn) -> int:
        """One batch: answer at once what ``quick`` can, hand on the rest. How many there were."""
        received = _recvmmsg(self._fd, self._in.address, self._batch, 0, None)
        if received <= 0:
            return 0
        if self._wildcard:
            # Where it came in is not always the way back.
            self._interfaces[:received] = self._no_interfaces[:received]
        data, names, sizes = self._in_data, self._in_names, self._in.received
        out, lengths = self._out.data, self._out.lengths
        unsent = 0
        for at, size_at, data_at, first, last, out_at, length_at in self._places[:received]:
            packet = bytes(data[data_at : data_at + sizes[size_at]])
            client = bytes(names[first:last])
            answer = quick(packet, client)
            if answer is None:
                if unsent < at:
                    self._send(unsent, at)
                unsent = at + 1
                self._hand_on(packet, client, at, hand_on)
            else:
                size = len(answer)
                out[out_at : out_at + size] = answer
                lengths[length_at] = size
        if unsent < received:
            self._send(unsent, received)
        return int(received)

    def send(self, answer: bytes, path: ReturnPath) -> None:
        """A later answer. What the kernel has no room for is lost, as UDP may be."""
        late = self._late
        late.lengths[1] = size = len(answer)
        late.data[:size] = answer
        late.names[:_NAME_BYTES], control = path
        if control:
            late.controls[:_CONTROL_BYTES] = control
        _sendmmsg(self._fd, late.address, 1, 0)

    def close(self) -> None:
        self.sock.close()

    def _hand_on(self, packet: bytes, client: bytes, at: int, hand_on: HandOn) -> None:
        name_at = at * _NAME_BYTES
        name = bytes(self._in_names[name_at : name_at + _NAME_BYTES])
        if name[_PORT] == b"\0\0":
            # Nobody can be answered there: a forged packet.
            return
        control = b""
        if self._wildcard:
            control = bytes(self._in.controls[at * _CONTROL_BYTES : (at + 1) * _CONTROL_BYTES])
        hand_on(packet, client, ReturnPath(name, control))

    def _send(self, first: int, end: int) -> None:
        """Answers ``first`` to ``end``; one that cannot be sent is left out."""
        while first < end:
            address = self._out.address + first * _HEADER_BYTES
            sent = _sendmmsg(self._fd, address, end - first, 0)
            first += max(sent, 0) or 1
