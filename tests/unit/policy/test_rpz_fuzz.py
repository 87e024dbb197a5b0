"""Lists and zones of any bytes: nothing raises, and how they are cut makes no difference."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from enforcer.policy.lists import load_list
from enforcer.policy.rpz import load_rpz
from enforcer.policy.source import PolicyError

words = st.sampled_from(
    [
        *("a.example", "*.b.example", "B.example.", "@", ".", "*.", "*", "rpz-passthru.", "rpz-ip"),
        *("24.0.2.0.192.rpz-ip", "$ORIGIN", "$TTL", "rpz.example.", "60", "IN", "CH", "CNAME", "A"),
        *("SOA", "TXT", "192.0.2.1", "0.0.0.0", "::1", "||c.example^", "@@||d.example^"),
        *("(", ")", '"', ";", "#", "!", "\\", "\\032", "\t", "\x0c", "\r", "b\u00fccher", "\0"),
    ]
)
text = st.lists(words | st.sampled_from([" ", " ", "\n"]), max_size=60).map("".join)
contents = text.map(str.encode) | st.binary(max_size=300)


def cut(content, places):
    places = sorted({place % (len(content) + 1) for place in places} | {0, len(content)})
    return [content[start:end] for start, end in pairwise(places)]


def listed(chunks):
    found = load_list("ads.txt", chunks)
    return sorted(found.exact), sorted(found.suffix), found.rejected, found.rejected_count


def zoned(chunks):
    try:
        zone = load_rpz("feed", "feed.rpz", chunks)
    except PolicyError as error:
        return str(error)
    tables = [
        (rule.id, [(sorted(names.exact), sorted(names.below)) for names in rule.match.lists])
        for rule in zone.rules
    ]
    named = [(rule.id, rule.match.names, rule.records, rule.source) for rule in zone.rules]
    return tables, named, zone.rejected, zone.entries, zone.serial


@given(contents, st.lists(st.integers(min_value=0, max_value=1000), max_size=5))
def test_a_list_means_the_same_however_it_is_cut(content, places):
    assert listed(cut(content, places)) == listed([content])


@given(contents, st.lists(st.integers(min_value=0, max_value=1000), max_size=5))
def test_a_zone_means_the_same_however_it_is_cut(content, places):
    assert zoned(cut(content, places)) == zoned([content])


forms = st.sampled_from(["{}", "0.0.0.0 {}", "||{}^", "*.{}", "{} # why", "# {}", ""])
hosts = st.sampled_from(["a.example", "b.example", "1.2.3.4", "x..y", "localhost", "C.Example."])
lines = st.builds(str.format, forms, hosts)


@given(st.lists(lines, min_size=1, max_size=8))
def test_pieces_read_as_wholes_say_what_their_lines_say(some):
    """The quick way and the slow way are one."""
    whole = listed(["\n".join(some).encode()])
    one_by_one = [listed([line.encode()]) for line in some]

    assert whole[0] == sorted(name for exact, *_ in one_by_one for name in exact)
    assert whole[1] == sorted(name for _, suffix, *_ in one_by_one for name in suffix)
    assert whole[3] == sum(count for *_, count in one_by_one)


owners = st.sampled_from(["a.example", "*.b.example", "C", "1.2", "9.rpz-ip", "d..e", "@", "f."])
tails = st.sampled_from(
    ["CNAME .", "CNAME *.", "60 IN CNAME rpz-drop.", "CNAME . ; why", "A 1.2.3"]
)


@given(st.lists(st.tuples(owners, tails), min_size=1, max_size=6))
def test_zone_lines_read_as_wholes_say_what_they_say_one_by_one(some):
    """Each chunk of whole lines is a piece, and a quote sends a piece the slow way."""
    head, text = b'ok TXT "x"\n', "".join(f"{owner} {tail}\n" for owner, tail in some).encode()

    assert zoned([head, text]) == zoned([head + text])
