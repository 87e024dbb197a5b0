import pytest
from unit.proxy.fake_transport import FakeTransport

from enforcer.metrics import Cell
from enforcer.proxy.collector import Collector
from enforcer.proxy.splice import Passed, Splice


class Joined:
    def __init__(self, client_said=b"", upstream_said=b"", client_eof=False, upstream_eof=False):
        self.client, self.upstream = Collector(100), Collector(0)
        for end, said, eof in (
            (self.client, client_said, client_eof),
            (self.upstream, upstream_said, upstream_eof),
        ):
            end.connection_made(FakeTransport())
            if said:
                end.data_received(said)
            if eof:
                end.eof_received()
        self.passed = Passed(Cell(), Cell())
        self.ended = []
        self.splice = Splice(self.client, self.upstream, self.passed)
        self.splice.on_end = self.ended.append

    @property
    def to_client(self):
        return self.client.transport

    @property
    def to_upstream(self):
        return self.upstream.transport


def test_the_server_speaks_while_the_client_is_held_back():
    joined = Joined(client_said=b"SSH-", upstream_said=b"banner")
    joined.splice.upstream.data_received(b" more")
    assert joined.to_client.written == b"banner more"
    assert joined.to_upstream.written == b""
    assert joined.to_client.protocol is None
    joined.splice.release()
    assert joined.to_upstream.written == b"SSH-"
    assert joined.to_client.protocol is joined.splice.client
    assert joined.to_client.reading
    assert joined.to_upstream.reading
    assert (joined.passed.to_upstream.value, joined.passed.to_client.value) == (4, 11)


def test_a_client_that_cannot_take_more_stops_the_server_while_held_back():
    joined = Joined()
    joined.client.pause_writing()
    assert not joined.to_upstream.reading
    joined.client.resume_writing()
    assert joined.to_upstream.reading


@pytest.mark.parametrize("released", [True, False])
def test_back_pressure_goes_to_the_other_end(released):
    joined = Joined()
    if released:
        joined.splice.release()
    joined.splice.upstream.pause_writing()
    assert not joined.to_client.reading
    joined.splice.upstream.resume_writing()
    assert joined.to_client.reading


def test_a_half_close_is_passed_on_and_the_second_ends_both():
    joined = Joined()
    joined.splice.release()
    assert joined.splice.client.eof_received()
    assert joined.to_upstream.said == ["eof"]
    joined.splice.upstream.data_received(b"answer")
    assert not joined.splice.upstream.eof_received()
    assert joined.to_client.said == ["write", "close"]


def test_what_ended_before_the_splice_is_passed_on_after_its_bytes():
    joined = Joined(client_said=b"bye", client_eof=True)
    joined.splice.release()
    assert joined.to_upstream.said == ["write", "eof"]


def test_ends_that_both_ended_before_the_splice_are_closed():
    joined = Joined(client_said=b"a", upstream_said=b"b", client_eof=True, upstream_eof=True)
    assert joined.to_client.said == ["write", "eof"]
    joined.splice.release()
    assert joined.to_upstream.said == ["write", "close"]
    assert joined.to_client.said[-1] == "close"


@pytest.mark.parametrize(("error", "said"), [(None, "close"), (ConnectionResetError(), "abort")])
def test_a_lost_end_takes_the_other_with_it(error, said):
    joined = Joined()
    joined.splice.release()
    joined.splice.client.connection_lost(error)
    assert joined.to_upstream.said == [said]
    assert not joined.ended
    joined.splice.upstream.connection_lost(None)
    assert joined.ended == [joined.splice]


def test_a_client_lost_while_held_back_takes_the_server_with_it():
    joined = Joined()
    joined.client.connection_lost(ConnectionResetError())
    assert joined.to_upstream.said == ["abort"]
    assert not joined.splice.open


def test_it_is_idle_when_nothing_passed_between_two_looks():
    joined = Joined()
    joined.splice.release()
    joined.splice.abort_if_idle()
    joined.splice.client.data_received(b"x")
    joined.splice.abort_if_idle()
    assert joined.splice.open
    joined.splice.abort_if_idle()
    assert joined.to_client.said == joined.to_upstream.said[1:] == ["abort"]
