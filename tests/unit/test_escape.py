import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from exporter.escape import escape, is_label, is_shortened, shortened, unescape

names = st.binary(max_size=300) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass"))


def without_nul(name):
    return name.replace(b"\0", b"")


@given(names)
@example(b"\\x41")
@example(b"\xff\\xff")
@example("‮gpj.exe".encode())
@example("\ud800".encode("utf-8", "surrogatepass"))
def test_the_escape_can_be_undone(name):
    assert unescape(escape(name)) == name


@given(names)
def test_a_label_prints_on_one_line(name):
    assert escape(name).isprintable()


@given(names)
def test_a_label_survives_the_exposition(name):
    registry = CollectorRegistry()
    Counter("c", "", ["path"], registry=registry).labels(escape(name)).inc(7)
    text = generate_latest(registry).decode("utf-8")
    samples = [s for family in text_string_to_metric_families(text) for s in family.samples if s.name == "c_total"]
    assert [(unescape(sample.labels["path"]), sample.value) for sample in samples] == [(name, 7)]


@pytest.mark.parametrize(
    ("name", "label"),
    [
        (b"/usr/bin/true", "/usr/bin/true"),
        ("/opt/Größe/コマンド".encode(), "/opt/Größe/コマンド"),
        (b"/tmp/a\nb", r"/tmp/a\x0ab"),
        (b"/tmp/back\\slash", r"/tmp/back\\slash"),
        (b'/tmp/"quote"', '/tmp/"quote"'),
        (b"/tmp/\x1b[31mred", r"/tmp/\x1b[31mred"),
        (b"/tmp/\xff\xfe", r"/tmp/\xff\xfe"),
        ("/tmp/‮gpj".encode(), r"/tmp/\xe2\x80\xaegpj"),
        ("/tmp/a\u00a0b".encode(), r"/tmp/a\xc2\xa0b"),
    ],
)
def test_only_unprintable_characters_are_escaped(name, label):
    assert escape(name) == label


@given((names | st.binary(min_size=200, max_size=5000)).map(without_nul), st.integers(64, 400))
@example(b"/" + b"a\\x000123456789abcdef\\x00" * 30, 256)
@example(b"\\" * 300, 257)
@example(b"\1\1\1\1 " + b"\1" * 12 + b" ", 65)  # shortened to less than 65 bytes, and not the same for 64
def test_a_label_has_so_many_bytes_and_no_half_character(name, most):
    label = escape(name)
    short = shortened(label, most)
    assert len(short.encode()) <= most
    assert (short == label) == (len(label.encode()) <= most)
    assert is_shortened(short) == (short != label)
    assert not is_shortened(label)
    assert is_label(label)
    assert is_label(short)
    assert shortened(shortened(label, most), 64) == shortened(label, 64)
    if short != label:
        head, _, tail = re.split(r"\\x00([0-9a-f]{16})\\x00(?=(?!.*\\x00[0-9a-f]{16}\\x00))", short, maxsplit=1)
        assert label.startswith(head)
        assert label.endswith(tail)
        assert len(short.encode()) > most - 8
        with pytest.raises(ValueError, match="was shortened"):
            unescape(short)


def test_long_names_that_differ_in_one_byte_of_the_middle_are_told_apart():
    labels = {shortened(escape(b"/" + b"a" * 2000 + bytes([byte]) + b"a" * 2000)) for byte in range(1, 256)}
    assert len(labels) == 255


@pytest.mark.parametrize("text", ["/a\x1b", r"/a\x41", r"/a\xzz", r"/\x1b\x000123456789abcdef\x00\x41", "/\ud800"])
def test_a_text_that_no_name_has_is_no_label(text):
    assert not is_label(text)
