"""OPT records found in any message."""

import dns.edns
import dns.message
import pytest

from enforcer.dns.packets.opt import append_option, build_option, find_opts

OPTION = dns.edns.GenericOption(100, b"abc")


def packet(*options, **more):
    return dns.message.make_query(
        "a.test", "A", use_edns=0, options=list(options), **more
    ).to_wire()


def test_an_opt_is_found_with_its_options():
    (opt,) = find_opts(packet(OPTION, OPTION, payload=1400, want_dnssec=True))
    assert opt.size_bytes == 1400
    assert opt.extended == 0x8000
    assert opt.version == 0
    assert list(opt.options()) == [(100, b"abc")] * 2
    assert opt.is_whole


def test_a_message_without_opt_has_none():
    assert find_opts(dns.message.make_query("a.test", "A").to_wire()) == []


def test_every_opt_is_found():
    wire = bytearray(packet(OPTION))
    wire += wire[-18:]
    wire[10:12] = b"\0\2"
    assert len(find_opts(bytes(wire))) == 2


@pytest.mark.parametrize("length", range(12, len(packet(OPTION))))
def test_records_that_are_cut_off_cannot_be_walked(length):
    assert find_opts(packet(OPTION)[:length]) is None


def test_an_option_that_is_cut_off_shows():
    wire = packet(OPTION)
    at = len(wire) - 5
    (opt,) = find_opts(wire[:at] + b"\0\x04" + wire[at + 2 :])
    assert not opt.is_whole


def test_an_opt_whose_owner_is_no_root_is_not_whole():
    wire = packet()
    (opt,) = find_opts(wire[:-11] + b"\1x" + wire[-11:])
    assert not opt.is_whole


def test_an_option_is_appended_wherever_opt_stands():
    wire = bytearray(packet(OPTION))
    wire += b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4\xc0\0\2\1"
    wire[10:12] = b"\0\2"
    message = dns.message.from_wire(append_option(bytes(wire), build_option(101, b"x")))
    assert [(int(o.otype), o.to_wire()) for o in message.options] == [(100, b"abc"), (101, b"x")]
    assert len(message.additional) == 1
