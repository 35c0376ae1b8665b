"""The file that carries a baseline to another host: it is imported completely, or rejected if any part is wrong."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.catalogue.baseline_file import MAX_LINE_BYTES, BadBaseline, dump, load
from exporter.escape import escape

A, B = b"a" * 32, b"b" * 32
names = st.binary(min_size=1, max_size=40).map(lambda name: escape(b"/" + name))
programs = st.dictionaries(st.tuples(names, st.binary(min_size=32, max_size=32)), st.none(), max_size=20)


def lines(*programs, learnt=True):
    return list(dump(programs, learnt))


@given(programs, st.booleans())
def test_a_dumped_baseline_is_loaded(programs, learnt):
    found = load(io.BytesIO(b"".join(dump(programs, learnt))))
    assert (found.programs, found.learnt) == (tuple(programs), learnt)


@given(programs, st.data())
def test_a_file_that_was_changed_or_cut_is_refused(programs, data):
    whole = b"".join(dump(programs, True))
    at = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(BadBaseline):
        load(io.BytesIO(whole[: min(at, len(whole) - 2)]))  # the last newline may be missing
    other = bytes([whole[at] ^ data.draw(st.integers(1, 255))])
    changed = whole[:at] + other + whole[at + 1 :]
    try:
        found = load(io.BytesIO(changed))
    except BadBaseline:
        return
    # the last line has no checksum of its own: it may be spelled differently
    assert found == load(io.BytesIO(whole))


def changed(number, **values):
    found = lines(("/a", A), ("/b", B))
    said = json.loads(found[number])
    found[number] = json.dumps({**said, **values}).encode() + b"\n"
    return b"".join(found)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "line 1: the trailer is missing"),
        (b"nonsense\n", "line 1: not JSON"),
        (b"[" * 50_000 + b"\n", "line 1: not JSON"),
        (b"[]\n", "line 1: not a JSON object"),
        (b"{}\n", "line 1: not written by"),
        (b"x" * (MAX_LINE_BYTES + 1), "line 1: longer"),
        (changed(0, version=2), "line 1: not of version 1"),
        (changed(0, learnt="yes"), "line 1"),
        (changed(1, path=5), "line 2: a program must have"),
        (changed(1, more=5), "line 2: a program must have"),
        (changed(1, sha256="ab"), "line 2: path or sha256"),
        (changed(1, path=""), "line 2: path or sha256"),
        (changed(1, path="/\u001b[31m"), "line 2: the path is not escaped"),
        (changed(1, path="/a\\"), "line 2: the path is not escaped"),
        (changed(1, path="/\ud800"), "line 2: the path is not escaped"),
        (changed(1, path="/c"), "line 4: number or checksum"),
        (changed(3, programs=3), "line 4: number or checksum"),
        (b"".join(lines(("/a", A))) + b"more", "line 4: there is data after"),
        (b"".join(lines(("/a", A))[:-1]), "line 3: the trailer is missing"),
    ],
)
def test_errors_name_their_line(content, said):
    with pytest.raises(BadBaseline, match=said):
        load(io.BytesIO(content))
