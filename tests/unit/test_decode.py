import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.decode import DecodeError, Decoder
from tests.unit.layouts import LAYOUTS, Introduction, key, record

decoder = Decoder(LAYOUTS)


def test_a_key_says_its_stdin_type_and_flags():
    decoded = decoder.key(key(stdin_type=5, flags=0b11))
    assert decoded.stdin_type == "tty"
    assert decoded.has("script")
    assert decoded.has("from_kernel")
    assert not decoded.has("deleted")


def test_a_stdin_type_that_is_not_known_is_unknown():
    assert decoder.key(key(stdin_type=99)).stdin_type == "unknown"


def test_a_key_of_another_size_is_refused():
    with pytest.raises(DecodeError, match="a key of 5 bytes, not 28"):
        decoder.key(b"12345")


def test_the_count_is_taken_from_where_the_layout_has_it():
    assert decoder.executions((1).to_bytes(8, "little") + (1 << 40).to_bytes(8, "little")) == 1 << 40


def test_an_introduction_has_its_paths_in_order():
    texts = (b"true\0bin\0usr\0", b"ld.so\0lib\0", b"b\0a\0", b"./true\0", b"")
    found = decoder.introduction(record(key(file=7), texts))
    assert found.key == key(file=7)
    assert found.pathname == b"/usr/bin/true"
    assert found.interpreter_pathname == b"/lib/ld.so"
    assert found.cwd == b"/a/b"
    assert found.cmdpath == b"./true"
    assert found.interp is None
    assert found.truncated == frozenset()


def test_a_path_that_was_cut_does_not_look_absolute():
    found = decoder.introduction(record(key(), (b"true\0bin\0", b"", b"", b"", b""), truncated=1))
    assert found.truncated == {"pathname"}
    assert found.pathname == b"bin/true"


def test_a_static_program_has_no_interpreter():
    assert decoder.introduction(record(key(), (b"a\0", b"", b"", b"", b""))).interpreter_pathname is None


@given(st.binary(max_size=Introduction.text.offset + 300))
def test_any_bytes_are_decoded_or_refused(data):
    try:
        found = decoder.introduction(data)
    except DecodeError:
        return
    for text in (found.pathname, found.cmdpath, found.interp):
        assert text is None or len(text) <= len(data)


@given(st.lists(st.binary(max_size=40), min_size=5, max_size=5), st.data())
def test_a_record_with_wrong_sizes_is_decoded_or_refused(texts, data):
    good = bytearray(record(key(), texts))
    at = data.draw(st.integers(0, Introduction.text.offset - 1))
    good[at] = data.draw(st.integers(0, 255))
    try:
        decoder.introduction(bytes(good[: data.draw(st.integers(0, len(good)))]))
    except DecodeError:
        return
