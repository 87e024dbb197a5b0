"""A query as upstreams get it: our id, our OPT, letters in random case."""

import os

import dns.edns
import dns.message
import dns.name
import pytest

from enforcer.dns.upstream.query import (
    Randomness,
    build_query,
    build_upstream_opt,
    randomise_case,
)

QUESTION = b"\3www\7example\3com\0\0\1\0\1"


def test_a_query_is_what_others_read_as_one():
    opt = build_upstream_opt(do=True, options=b"\0\x0a\0\x08abcdefgh")
    message = dns.message.from_wire(build_query(0x1234, 0x0110, QUESTION, opt))
    assert message.id == 0x1234
    assert [str(q) for q in message.question] == ["www.example.com. IN A"]
    assert message.ednsflags & 0x8000
    assert message.payload == 1232
    assert [option.otype for option in message.options] == [dns.edns.OptionType.COOKIE]
    assert dns.message.from_wire(build_query(1, 0x0100, QUESTION, b"")).edns == -1


def test_case_is_random_and_nothing_else_is_changed():
    seen = {randomise_case(QUESTION, os.urandom(len(QUESTION))) for _ in range(64)}
    assert len(seen) > 32
    assert {question.lower() for question in seen} == {QUESTION}
    assert {question[-4:] for question in seen} == {QUESTION[-4:]}


def test_each_letter_is_as_its_bit_says():
    assert randomise_case(QUESTION, b"\0" * 99) == QUESTION
    upper = b"\3WWW\7EXAMPLE\3COM\0\0\1\0\1"
    assert randomise_case(QUESTION, b"\xff" * 99) == upper
    assert randomise_case(upper, b"\xff" * 99) == QUESTION


@pytest.mark.parametrize(
    "question", [b"\0\0\2\0\1", b"\1A\0\0A\0a", b"\4\xc3\xa9-_\0\0\1\0\1", b"\1[\1`\1{\0\0\1\0\1"]
)
def test_bytes_that_are_no_letters_stay(question):
    size = len(question) - 4
    mixed = randomise_case(question, b"\xff" * len(question))
    assert mixed[:size].lower() == question[:size].lower()
    assert mixed[size:] == question[size:]
    letters = sum(chr(b).isascii() and chr(b).isalpha() for b in question[:size])
    assert sum(a != b for a, b in zip(mixed, question, strict=True)) == letters


def test_randomness_is_fetched_in_batches_and_never_given_out_twice():
    calls = []

    def source(count):
        calls.append(count)
        return os.urandom(count)

    random = Randomness(source)
    taken = [random.take(16) for _ in range(300)]
    assert len(set(taken)) == 300
    assert calls == [4096, 4096]
    assert len({random.take_id() for _ in range(100)}) > 90
