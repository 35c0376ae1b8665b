"""From a file's content to a judgement, with a real catalogue; and what of the findings is open."""

import stat
from dataclasses import replace

import pytest

from exporter.catalogue.acceptance import Acceptance
from exporter.catalogue.catalogue import Catalogue
from exporter.catalogue.finding import Finding, Reason
from exporter.events.decode import Identity
from exporter.host.packages import PackageVerdict
from exporter.host.procfs import NOBODY
from exporter.novelty.executed_file import ExecutedFile, FileFacts
from exporter.novelty.file_content import Content
from exporter.novelty.introduction_queue import Inbox, Item
from exporter.novelty.judge import Policy, judge, seed
from exporter.novelty.open_findings import OpenFindings

A, B = b"a" * 32, b"b" * 32


@pytest.fixture
def store(tmp_path):
    store = Catalogue(tmp_path / "catalogue.db", create=True)
    yield store
    store.close()


def content(path="/opt/x", digest=A, inode=1, mode=0o755, package=None, writable=False, **subject):
    identity = Identity(inode, (8, 1), 1, 1, 1)
    facts = FileFacts((8, 1), inode, 1, 5, stat.S_IFREG | mode)
    name = path.encode() if path.startswith("/") else None
    made = ExecutedFile(path, "/ld.so", name, identity, facts, NOBODY)
    return Content(replace(made, **subject), digest, 5, package, writable_directory=writable)


def judged(store, one, learning=False, installed=(), gone=False):
    with store.transaction():
        return judge(store, one, 7.0, Policy(learning, installed, lambda _: gone))


def reason(store, one, **policy):
    verdict = judged(store, one, **policy)
    return verdict.finding.reason if verdict.finding else verdict.reason


def test_a_new_program_is_a_finding_and_then_known(store):
    verdict = judged(store, content())
    finding = verdict.finding
    assert (finding.reason, finding.path, finding.interpreter, finding.content) == ("new_path", "/opt/x", "/ld.so", A)
    assert finding.first_seen == 7.0
    again = judged(store, content())
    assert (again.program, again.finding, again.reason) == (verdict.program, None, None)


def test_what_is_learnt_is_no_finding_and_not_counted(store):
    verdict = judged(store, content(), learning=True)
    assert (verdict.finding, verdict.reason) == (None, None)
    assert [(path, baseline) for path, _, baseline in store.programs()] == [("/opt/x", True)]
    judged(store, content(path="/opt/y", digest=B, inode=2))
    assert ("/opt/y", False) in [(path, baseline) for path, _, baseline in store.programs()]


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (content(path="[memfd]", memfd=True), "memfd"),
        (content(path="[deleted]", name=b"/opt/x", deleted=True), "deleted"),
        (content(mode=0o4755, writable=True), "new_path"),
        (content(mode=0o2755, writable=True), "new_path"),
    ],
)
def test_what_is_never_learnt(store, one, expected):
    assert judged(store, one, learning=True).finding.reason == expected


@pytest.mark.parametrize("one", [content(mode=0o4755), content(writable=True)])
def test_only_both_together_are_never_learnt(store, one):
    assert judged(store, one, learning=True).finding is None


def test_a_file_in_memory_is_one_finding_however_often(store):
    first = judged(store, content(path="[memfd]", memfd=True))
    assert judged(store, content(path="[memfd]", memfd=True, inode=2)).finding is None
    assert judged(store, content(path="[memfd]", memfd=True, inode=3, digest=B)).finding.id != first.finding.id
    assert store.count("identities") == 0, "it never comes back"


def test_a_program_that_executes_itself_after_its_update_is_known(store):
    judged(store, content(), learning=True)
    assert reason(store, content(path="[deleted]", name=b"/opt/x", deleted=True, inode=9)) is None
    assert reason(store, content(path="[deleted]", name=b"/tmp/x", deleted=True, inode=10)) == "deleted"


def test_gone_a_moment_later(store):
    assert reason(store, content(), gone=True) == Reason.DELETED
    assert reason(store, content(path="/opt/y", digest=B, inode=2), gone=True, learning=True) is None


def test_quiet_reasons_are_reported_and_of_the_baseline(store):
    judged(store, content(), learning=True)
    assert reason(store, content(inode=2)) == Reason.REINSTALLED
    assert judged(store, content(inode=2)).reason is None, "known by now"


VOUCHED = PackageVerdict("dpkg", "tool", "agrees")


def test_packages(store):
    judged(store, content(), learning=True)
    assert reason(store, content(digest=B, inode=2, package=VOUCHED)) == Reason.REINSTALLED
    differs = PackageVerdict("dpkg", "tool", "differs")
    assert reason(store, content(digest=b"c" * 32, inode=3, package=differs)) == Reason.CONTENT_CHANGED
    new = content(path="/usr/bin/tool", digest=b"d" * 32, inode=4, package=VOUCHED)
    assert reason(store, new, installed={"tool"}) is None
    other = content(path="/usr/bin/other", digest=b"e" * 32, inode=5, package=VOUCHED)
    assert reason(store, other, installed={"another"}) == Reason.NEW_PATH


def test_seeds(store):
    with store.transaction():
        seed(store, content(), 1.0, reads=True)
        seed(store, content(path="/unread", digest=None), 1.0, reads=True)
        seed(store, content(path="/setuid", mode=0o4755, writable=True), 1.0, reads=True)
        seed(store, content(path="/sized", digest=None), 1.0, reads=False)
    assert {path for path, *_ in store.programs()} == {"/opt/x", "/sized"}
    assert judged(store, content()).reason is None, "met for the first time, not reinstalled"


def finding(number, path=None):
    return Finding(Reason.NEW_PATH, path or f"/tmp/{number}", "", A, float(number), float(number))


def test_the_newest_open_findings_are_shown_and_all_are_counted(store):
    shown = OpenFindings(3, lambda: 100.0)
    with store.transaction():
        for number in range(5):
            store.add_finding(finding(number), "{}")
    shown.refresh(store, [])
    assert ([row[2] for row in shown.rows], shown.count) == (["/tmp/4", "/tmp/3", "/tmp/2"], 5)
    shown.add([finding(5), finding(6)])
    assert ([row[2] for row in shown.rows], shown.count) == (["/tmp/6", "/tmp/5", "/tmp/4"], 7)
    assert list(shown.rows.values()) == [6.0, 5.0, 4.0]


def test_acceptances_of_the_catalogue_and_of_the_file_close_until_they_end(store):
    now = [100.0]
    shown = OpenFindings(10, lambda: now[0])
    with store.transaction():
        for number in range(3):
            store.add_finding(finding(number), "{}")
        store.accept(Acceptance("id", finding(0).id, "r"), 1.0)
    shown.refresh(store, [Acceptance("path", "/tmp/1", "r", expires=150.0)])
    assert [row[2] for row in shown.rows] == ["/tmp/2"]
    assert not shown.expired
    now[0] = 150.0
    assert shown.expired
    shown.refresh(store, [Acceptance("path", "/tmp/1", "r", expires=150.0)])
    assert {row[2] for row in shown.rows} == {"/tmp/1", "/tmp/2"}
    assert not shown.expired


def test_the_inbox_never_makes_wait_and_keeps_the_key_of_what_it_cannot_take():
    inbox = Inbox(limit=2, missed_limit=2)
    for number in range(5):
        inbox.put(Item(bytes([number]), None, None))
    assert (len(inbox), inbox.deferred) == (2, 3)
    assert inbox.take_missed(9) == [], "what is whole comes first"
    assert [item.raw for item in inbox.take(9, 0)] == [b"\0", b"\1"]
    assert set(inbox.take_missed(9)) == {b"\2", b"\3"}, "no more than its limit: the others are met again"
    assert inbox.take(9, 0) == []
    inbox.close()
    assert inbox.take(9, 60) == [], "nobody waits for what is closed"
