"""Findings that are not accepted."""

import pytest

from exporter.catalogue.acceptance import Acceptance
from exporter.catalogue.catalogue import Catalogue
from exporter.catalogue.finding import Finding, Reason
from exporter.novelty.open_findings import OpenFindings


@pytest.fixture
def catalogue(tmp_path):
    catalogue = Catalogue(tmp_path / "catalogue.db", create=True)
    yield catalogue
    catalogue.close()


def finding(number, path=None):
    return Finding(Reason.NEW_PATH, path or f"/tmp/{number}", "", b"a" * 32, float(number), float(number))


def test_the_newest_open_findings_are_shown_and_all_are_counted(catalogue):
    shown = OpenFindings(3, lambda: 100.0)
    with catalogue.transaction():
        for number in range(5):
            catalogue.add_finding(finding(number), "{}")
    shown.refresh(catalogue, [])
    assert ([row[2] for row in shown.rows], shown.count) == (["/tmp/4", "/tmp/3", "/tmp/2"], 5)
    shown.add([finding(5), finding(6)])
    assert ([row[2] for row in shown.rows], shown.count) == (["/tmp/6", "/tmp/5", "/tmp/4"], 7)
    assert list(shown.rows.values()) == [6.0, 5.0, 4.0]


def test_acceptances_of_the_catalogue_and_of_the_file_close_until_they_end(catalogue):
    now = [100.0]
    shown = OpenFindings(10, lambda: now[0])
    with catalogue.transaction():
        for number in range(3):
            catalogue.add_finding(finding(number), "{}")
        catalogue.accept(Acceptance("id", finding(0).id, "r"), 1.0)
    shown.refresh(catalogue, [Acceptance("path", "/tmp/1", "r", expires=150.0)])
    assert [row[2] for row in shown.rows] == ["/tmp/2"]
    assert not shown.expired
    now[0] = 150.0
    assert shown.expired
    shown.refresh(catalogue, [Acceptance("path", "/tmp/1", "r", expires=150.0)])
    assert {row[2] for row in shown.rows} == {"/tmp/1", "/tmp/2"}
    assert not shown.expired
