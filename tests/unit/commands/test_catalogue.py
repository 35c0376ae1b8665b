"""`exec_exporter catalogue` on a catalogue that no service has open."""

import pytest

from exporter.catalogue import learning
from exporter.catalogue.acceptance import Acceptance
from exporter.catalogue.baseline_file import dump
from exporter.catalogue.catalogue import FOUND, LEARNT, Catalogue
from exporter.catalogue.finding import Finding, Reason
from exporter.commands import catalogue

A, B = b"a" * 32, b"b" * 32


def dumped(*programs, learnt=True):
    return b"".join(dump(programs, learnt))


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


def test_only_learnt_or_accepted_programs_are_exported(store):
    assert list(catalogue.baseline(store, 1.0)) == [("/learnt", A), ("/accepted", B)]


def test_import_counts_as_learnt_and_closes_findings(store, tmp_path, capsys):
    file = tmp_path / "baseline"
    file.write_bytes(dumped(("/open", B), ("/new", A)))
    catalogue.run(["import", str(file), f"--catalogue.path={store.path}"])
    assert "2 programs imported, 1 of them new; learning is over" in capsys.readouterr().err
    assert {finding.path for finding in store.findings()} == {"/accepted"}
    assert {path for path, _, learnt in store.programs() if learnt} >= {"/open", "/new"}
    assert store.get(learning.OVER) is not None


def test_a_baseline_of_a_host_that_is_learning_ends_no_learning(store, tmp_path, capsys):
    file = tmp_path / "baseline"
    file.write_bytes(dumped(("/new", A), learnt=False))
    catalogue.run(["import", str(file), f"--catalogue.path={store.path}"])
    assert "still learning" in capsys.readouterr().err
    assert store.get(learning.OVER) is None
