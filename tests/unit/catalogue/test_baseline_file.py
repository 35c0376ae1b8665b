"""The file that hands a baseline to another host: nothing of it counts unless all of it is right."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.catalogue import learning
from exporter.catalogue.acceptance import Acceptance
from exporter.catalogue.baseline_file import MAX_LINE_BYTES, BadBaseline, dump, load
from exporter.catalogue.catalogue import FOUND, LEARNT, Catalogue
from exporter.catalogue.finding import Finding, Reason
from exporter.commands import catalogue
from exporter.escape import escape

A, B = b"a" * 32, b"b" * 32
names = st.binary(min_size=1, max_size=40).map(lambda name: escape(b"/" + name))
programs = st.dictionaries(st.tuples(names, st.binary(min_size=32, max_size=32)), st.none(), max_size=20)


def lines(*programs, learnt=True):
    return list(dump(programs, learnt))


@given(programs, st.booleans())
def test_what_is_dumped_is_loaded(programs, learnt):
    found = load(io.BytesIO(b"".join(dump(programs, learnt))))
    assert (found.programs, found.learnt) == (tuple(programs), learnt)


@given(programs, st.data())
def test_a_file_that_was_changed_or_cut_is_refused(programs, data):
    whole = b"".join(dump(programs, True))
    at = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(BadBaseline):
        load(io.BytesIO(whole[: min(at, len(whole) - 2)]))  # the last newline alone is no loss
    other = bytes([whole[at] ^ data.draw(st.integers(1, 255))])
    changed = whole[:at] + other + whole[at + 1 :]
    try:
        found = load(io.BytesIO(changed))
    except BadBaseline:
        return
    # the end has no checksum of its own: another spelling of the same is the same
    assert found == load(io.BytesIO(whole))


def changed(number, **values):
    found = lines(("/a", A), ("/b", B))
    said = json.loads(found[number])
    found[number] = json.dumps({**said, **values}).encode() + b"\n"
    return b"".join(found)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "line 1: the end is missing"),
        (b"nonsense\n", "line 1: it is no JSON"),
        (b"[" * 50_000 + b"\n", "line 1: it is no JSON"),
        (b"[]\n", "line 1: it is no JSON object"),
        (b"{}\n", "line 1: it was not written by"),
        (b"x" * (MAX_LINE_BYTES + 1), "line 1: it is longer"),
        (changed(0, version=2), "line 1: it is not of version 1"),
        (changed(0, learnt="yes"), "line 1"),
        (changed(1, path=5), "line 2: a program has"),
        (changed(1, more=5), "line 2: a program has"),
        (changed(1, sha256="ab"), "line 2: path or sha256"),
        (changed(1, path=""), "line 2: path or sha256"),
        (changed(1, path="/\u001b[31m"), "line 2: the path is not escaped"),
        (changed(1, path="/a\\"), "line 2: the path is not escaped"),
        (changed(1, path="/\ud800"), "line 2: the path is not escaped"),
        (changed(1, path="/c"), "line 4: number or checksum"),
        (changed(3, programs=3), "line 4: number or checksum"),
        (b"".join(lines(("/a", A))) + b"more", "line 4: there is something behind"),
        (b"".join(lines(("/a", A))[:-1]), "line 3: the end is missing"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(content, said):
    with pytest.raises(BadBaseline, match=said):
        load(io.BytesIO(content))


@pytest.fixture
def store(tmp_path):
    store = Catalogue(tmp_path / "catalogue.db", create=True)
    with store.transaction():
        store.remember("/learnt", A, LEARNT, 1.0)
        store.remember("/unread", b"\0" * 8, LEARNT, 1.0)
        for name in ("open", "accepted"):
            store.remember(f"/{name}", B, FOUND, 1.0)
            store.add_finding(Finding(Reason.NEW_PATH, f"/{name}", "", B, 1.0, 1.0), "{}")
        store.accept(Acceptance("path", "/accepted", "because"), 1.0)
    yield store
    store.close()


def test_only_what_was_learnt_or_accepted_is_exported(store):
    assert list(catalogue.baseline(store, 1.0)) == [("/learnt", A), ("/accepted", B)]


def test_import_counts_as_learnt_and_closes_findings(store, tmp_path, capsys):
    file = tmp_path / "baseline"
    file.write_bytes(b"".join(lines(("/open", B), ("/new", A))))
    catalogue.catalogue(["import", str(file), f"--catalogue.path={store.path}"])
    assert "2 programs imported, 1 of them new; learning is over" in capsys.readouterr().err
    assert {finding.path for finding in store.findings()} == {"/accepted"}
    assert {path for path, _, learnt in store.programs() if learnt} >= {"/open", "/new"}
    assert store.get(learning.OVER) is not None


def test_a_baseline_of_a_host_that_is_learning_ends_no_learning(store, tmp_path, capsys):
    file = tmp_path / "baseline"
    file.write_bytes(b"".join(lines(("/new", A), learnt=False)))
    catalogue.catalogue(["import", str(file), f"--catalogue.path={store.path}"])
    assert "learning goes on" in capsys.readouterr().err
    assert store.get(learning.OVER) is None
