"""Lists as others publish them: what each line means, and which say nothing."""

import pytest

from enforcer.policy import lists
from enforcer.policy.lists import MAX_LINE_BYTES, MAX_REJECTED, PIECE_BYTES, load_list


def read(text, *, chunk_bytes=None):
    content = text.encode() if isinstance(text, str) else text
    step = chunk_bytes or len(content) or 1
    chunks = (content[at : at + step] for at in range(0, len(content), step))
    return load_list("ads.txt", chunks, len(content))


def names(found):
    return sorted(found.exact), sorted(found.suffix)


@pytest.mark.parametrize(
    ("line", "exact", "suffix"),
    [
        ("ads.example", [], ["ads.example"]),
        ("Ads.EXAMPLE.", [], ["ads.example"]),
        ("*.ads.example", [], ["ads.example"]),
        ("||ads.example^", [], ["ads.example"]),
        ("  ads.example  # since 2024", [], ["ads.example"]),
        ("zip", [], ["zip"]),
        ("1.ads.example", [], ["1.ads.example"]),
        ("_dmarc.ads.example", [], ["_dmarc.ads.example"]),
        ("b\u00fccher.example", [], ["xn--bcher-kva.example"]),
        ("0.0.0.0 ads.example", ["ads.example"], []),
        ("127.0.0.1\tads.example b.example # both", ["ads.example", "b.example"], []),
        ("::1 ads.example", ["ads.example"], []),
        ("fe80::1%lo0 localhost", [], []),
        ("127.0.0.1 localhost localhost.localdomain", [], []),
        ("0.0.0.0 0.0.0.0", [], []),
        ("# ads.example", [], []),
        ("! ads.example", [], []),
        ("", [], []),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_a_line_means(line, exact, suffix, end):
    found = read(line + end)

    assert names(found) == (exact, suffix)
    assert found.entries == len(exact) + len(suffix)
    assert found.rejected == ()


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("@@||ads.example^", "an exception"),
        ("||ads.example^$third-party", "an AdBlock filter of more than a name"),
        ("||ads.example/banner", "an AdBlock filter of more than a name"),
        ("ads.example##.banner", "an AdBlock filter of more than a name"),
        ("||*.ads.example^", "an AdBlock filter of more than a name"),
        ("/ads[0-9]+/", "an AdBlock filter of more than a name"),
        ("address=/ads.example/0.0.0.0", "configuration of dnsmasq or unbound"),
        ("server=/ads.example/", "configuration of dnsmasq or unbound"),
        ('local-zone: "ads.example" always_nxdomain', "configuration of dnsmasq or unbound"),
        ('local-data: "ads.example A 0.0.0.0"', "configuration of dnsmasq or unbound"),
        ("server:", "configuration of dnsmasq or unbound"),
        ("192.0.2.1", "an address is no name"),
        ("10.0.0.7 intranet.example", "10.0.0.7 is an address that answers"),
        ("1.2.3 intranet.example", "1.2.3 is no address"),
        ("ads..example", "has an empty label"),
        (".ads.example", "has an empty label"),
        (".", "the name is empty"),
        ("ads.example other.example", "has a character that no host name has"),
        ("https://ads.example", "has a character that no host name has"),
        (f"{'a' * 64}.example", "has a label that is too long"),
        (".".join(["a" * 60] * 5), "is too long"),
        (b"\xff.example", "it is not UTF-8 text"),
        ("ads.\u2028example", "is not a valid internationalised name"),
        ("ads.\0example", "has a character that no host name has"),
        ("ads.\x0cexample", "has a character that no host name has"),
    ],
)
def test_a_line_is_rejected_with_its_number_and_why(line, why):
    line = line if isinstance(line, bytes) else line.encode()
    found = read(b"# head\nok.example\n" + line + b"\nlast.example\n")

    assert names(found) == ([], ["last.example", "ok.example"])
    assert [rejected.line for rejected in found.rejected] == [3]
    assert why in found.rejected[0].why
    assert found.rejected_count == 1


def test_of_many_rejected_lines_the_first_are_kept_and_all_are_counted():
    found = read("a..b\n" * 100)

    assert [rejected.line for rejected in found.rejected] == list(range(1, MAX_REJECTED + 1))
    assert found.rejected_count == 100


def test_forms_may_be_mixed():
    found = read("0.0.0.0 a.example\n||b.example^\nc.example\n*.d.example\n")

    assert names(found) == (["a.example"], ["b.example", "c.example", "d.example"])


@pytest.mark.parametrize("form", ["{}", "0.0.0.0 {}", "127.0.0.1 {}", "||{}^", "*.{}"])
@pytest.mark.parametrize("chunk_bytes", [7, 4096, None])
def test_a_large_list_is_read_whole_however_it_is_cut(form, chunk_bytes):
    """Pieces of one form are read as wholes: an odd line among them must not show."""
    hosts = [f"Host{number}.Example" for number in range(4000)]
    lines = [form.format(host) for host in hosts]
    lines[2000:2000] = ["# a comment", "", "no..name", "0.0.0.0 localhost", "last.example # why"]
    text = "\n".join(lines)
    assert len(text) > PIECE_BYTES
    found = read(text, chunk_bytes=chunk_bytes)

    read_names = sorted([*found.exact, *found.suffix])
    assert read_names == sorted([*(host.lower() for host in hosts), "last.example"])
    assert bool(len(found.exact)) == form[0].isdigit()
    assert [(rejected.line, rejected.text) for rejected in found.rejected] == [(2003, "no..name")]


@pytest.mark.parametrize("form", ["{}", "0.0.0.0 {}", "127.0.0.1 {}", "||{}^", "*.{}"])
def test_a_list_of_one_form_is_never_read_line_by_line(form, monkeypatch):
    """It would take twenty times as long, and give the same."""
    monkeypatch.setattr(lists._Reader, "_read_line", None)
    found = read("# head\n\n" + "".join(f"{form.format('a.example')}\n" for _ in range(5000)))

    assert found.entries == 5000


def test_a_file_that_is_one_endless_line_is_cut_and_rejected():
    found = read("x" * (10 * MAX_LINE_BYTES), chunk_bytes=1000)

    assert found.entries == 0
    assert 0 < found.rejected_count < 20


def test_an_empty_file_is_an_empty_list():
    assert read("").entries == 0
    assert read("\n\n# nothing\n").entries == 0
