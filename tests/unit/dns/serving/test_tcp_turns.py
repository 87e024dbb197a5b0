"""One connection's queries are taken by turns, however many come at once."""

import asyncio

from unit.dns.serving.test_tcp_fuzz import Wire

from enforcer.dns.serving.access import Access
from enforcer.dns.serving.tcp import MAX_IN_A_ROW, Connections, StreamLimits, TcpConnection
from enforcer.metrics import Metrics

PACKET = b"\0" * 12
COUNT = 3 * MAX_IN_A_ROW + 1


def test_others_have_their_turn_before_a_connection_goes_on():
    taken = []

    def take(packet, _asker, send):
        taken.append(packet)
        send(PACKET)

    async def main():
        wire = Wire()
        connection = TcpConnection(Connections(take, Metrics(), StreamLimits(), Access(())))
        connection.connection_made(wire)
        connection.data_received((b"\0\x0c" + PACKET) * COUNT)
        assert len(taken) == MAX_IN_A_ROW
        assert not wire.reading
        # The client has said all that it wanted to, and is answered to the end.
        assert connection.eof_received()
        turns = 0
        while wire.ended is None:
            await asyncio.sleep(0)
            turns += 1
        assert (len(taken), turns, wire.ended) == (COUNT, 3, "closed")
        connection.connection_lost(None)

    asyncio.run(main())


def test_nothing_is_taken_behind_what_ends_a_connection():
    taken = []

    def take(packet, _asker, send):
        taken.append(packet)
        send(None)

    async def main():
        wire = Wire()
        connection = TcpConnection(Connections(take, Metrics(), StreamLimits(), Access(())))
        connection.connection_made(wire)
        connection.data_received((b"\0\x0c" + PACKET) * 2)
        assert (len(taken), wire.ended) == (1, "closed")
        connection.connection_lost(None)

    asyncio.run(main())
