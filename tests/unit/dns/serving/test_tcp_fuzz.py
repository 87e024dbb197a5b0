"""Any bytes, cut anywhere: a stream gives up its whole messages in order, and no more memory."""

import asyncio
from ipaddress import ip_network

from hypothesis import given
from hypothesis import strategies as st

from enforcer.dns.serving.access import Access
from enforcer.dns.serving.proxy_header import SIGNATURE
from enforcer.dns.serving.tcp import Connections, StreamLimits, TcpConnection
from enforcer.metrics import Metrics

LIMITS = StreamLimits(pipelined=3)


class Wire:
    """A transport that keeps what is written, and how it was ended."""

    def __init__(self):
        self.written = b""
        self.ended = None
        self.reading = True

    def get_extra_info(self, _):
        return ("192.0.2.1", 1)

    def write(self, data):
        self.written += data

    def close(self):
        self.ended = self.ended or "closed"

    def abort(self):
        self.ended = "aborted"

    def is_closing(self):
        return self.ended is not None

    def get_write_buffer_size(self):
        return 0

    def pause_reading(self):
        self.reading = False

    def resume_reading(self):
        self.reading = True


def play(pieces, proxies, answers):
    """What is taken for queries when these pieces arrive; ``answers`` says how each is answered.

    True at once, False later, None not at all.
    """
    taken, later = [], []

    def take(packet, asker, send):
        taken.append((packet, asker))
        how = answers[len(taken) % len(answers)]
        if how is False:
            later.append(send)
        else:
            send(b"\0" * 12 if how else None)

    async def main():
        connections = Connections(take, Metrics(), LIMITS, proxies)
        wire, connection = Wire(), TcpConnection(connections)
        connection.connection_made(wire)
        for piece in pieces:
            if wire.ended or not wire.reading:
                break
            connection.data_received(piece)
            assert len(later) <= LIMITS.pipelined
        while later:
            later.pop(0)(b"\0" * 12)
        if not wire.ended:
            connection.eof_received()
        connection.connection_lost(None)
        assert len(connections) == 0
        return wire

    return asyncio.run(main()), taken


pieces = st.lists(st.binary(max_size=40), max_size=8)
how_answered = st.lists(st.sampled_from([True, False, None]), min_size=1, max_size=4)
messages = st.lists(st.binary(min_size=1, max_size=30), max_size=8)


@given(pieces, how_answered)
def test_any_bytes_are_taken_or_end_the_stream(data, answers):
    wire, taken = play(data, Access(()), answers)
    whole = b"".join(data)
    sent = b"".join(len(packet).to_bytes(2, "big") + packet for packet, _ in taken)
    assert whole.startswith(sent)
    assert len(wire.written) % 14 == 0


@given(messages, st.integers(1, 50))
def test_whole_messages_are_all_taken_however_they_are_cut(packets, size):
    whole = b"".join(len(packet).to_bytes(2, "big") + packet for packet in packets)
    cut = [whole[at : at + size] for at in range(0, len(whole), size)]
    wire, taken = play(cut, Access(()), [True])
    assert [packet for packet, _ in taken] == packets
    assert len(wire.written) == 14 * len(packets)


@given(st.one_of(st.just(b""), st.just(SIGNATURE)), pieces, how_answered)
def test_a_proxy_sends_a_header_or_is_ended(start, data, answers):
    wire, taken = play([start, *data], Access([ip_network("192.0.2.1/32")]), answers)
    if not (start + b"".join(data)).startswith(SIGNATURE):
        assert taken == []
        assert wire.written == b""
