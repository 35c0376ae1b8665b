"""From a file's content to a judgement, with a real catalogue."""

import re
import stat
from dataclasses import replace

import pytest

from exporter.catalogue.catalogue import Catalogue
from exporter.catalogue.finding import Reason
from exporter.events.decode import Identity
from exporter.host.packages import PackageVerdict
from exporter.host.procfs import NOBODY
from exporter.novelty.executed_file import ExecutedFile, FileFacts
from exporter.novelty.file_content import Content
from exporter.novelty.judge import Policy, judge

A, B = b"a" * 32, b"b" * 32


@pytest.fixture
def catalogue(tmp_path):
    catalogue = Catalogue(tmp_path / "catalogue.db", create=True)
    yield catalogue
    catalogue.close()


def content(path="/opt/x", digest=A, inode=1, mode=0o755, package=None, writable=False, **executed):
    identity = Identity(inode, (8, 1), 1, 1, 1)
    facts = FileFacts((8, 1), inode, 1, 5, stat.S_IFREG | mode)
    name = path.encode() if path.startswith("/") else None
    made = ExecutedFile(path, "/ld.so", name, identity, facts, NOBODY)
    return Content(replace(made, **executed), digest, 5, package, writable_directory=writable)


def judged(catalogue, one, learning=False, installed=(), gone=False, fold=str, **policy):
    with catalogue.transaction():
        return judge(catalogue, one, 7.0, Policy(learning, installed, lambda _: gone, fold, **policy))


def reason(catalogue, one, **policy):
    verdict = judged(catalogue, one, **policy)
    return verdict.finding.reason if verdict.finding else verdict.reason


def test_a_new_program_is_a_finding_and_then_known(catalogue):
    verdict = judged(catalogue, content())
    finding = verdict.finding
    assert (finding.reason, finding.path, finding.interpreter, finding.content) == ("new_path", "/opt/x", "/ld.so", A)
    assert finding.first_seen == 7.0
    again = judged(catalogue, content())
    assert (again.program, again.finding, again.reason) == (verdict.program, None, None)


def test_a_learnt_program_is_no_finding_and_not_counted(catalogue):
    verdict = judged(catalogue, content(), learning=True)
    assert (verdict.finding, verdict.reason) == (None, None)
    assert [(path, baseline) for path, _, baseline in catalogue.programs()] == [("/opt/x", True)]
    judged(catalogue, content(path="/opt/y", digest=B, inode=2))
    assert ("/opt/y", False) in [(path, baseline) for path, _, baseline in catalogue.programs()]


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (content(path="[memfd]", memfd=True), "memfd"),
        (content(path="[deleted]", name=b"/opt/x", deleted=True), "deleted"),
        (content(mode=0o4755, writable=True), "new_path"),
        (content(mode=0o2755, writable=True), "new_path"),
    ],
)
def test_files_that_are_never_learnt(catalogue, one, expected):
    assert judged(catalogue, one, learning=True).finding.reason == expected


@pytest.mark.parametrize("one", [content(mode=0o4755), content(writable=True)])
def test_only_both_together_are_never_learnt(catalogue, one):
    assert judged(catalogue, one, learning=True).finding is None


def test_a_file_in_memory_is_one_finding_however_often(catalogue):
    first = judged(catalogue, content(path="[memfd]", memfd=True))
    assert judged(catalogue, content(path="[memfd]", memfd=True, inode=2)).finding is None
    assert judged(catalogue, content(path="[memfd]", memfd=True, inode=3, digest=B)).finding.id != first.finding.id
    assert catalogue.count("identities") == 0, "it never comes back"


@pytest.mark.parametrize("digests", [(None, A), (A, None), (None, None)])
def test_a_file_in_memory_that_could_not_be_read_each_time_is_one_finding(catalogue, digests):
    found = [judged(catalogue, content(path="[memfd]", memfd=True, inode=n, digest=d)) for n, d in enumerate(digests)]
    assert [verdict.finding is not None for verdict in found] == [True, False]


def test_a_learnt_program_that_could_not_be_read_has_the_content_that_is_read_first(catalogue):
    judged(catalogue, replace(content(digest=None), size=None), learning=True)
    assert judged(catalogue, content(inode=2)).finding is None
    assert reason(catalogue, content(digest=B, inode=3)) == Reason.CONTENT_CHANGED


def test_a_learnt_program_that_cannot_be_read_now_is_compared_by_its_size(catalogue):
    judged(catalogue, content(), learning=True)
    assert judged(catalogue, content(digest=None, inode=2)).finding is None
    assert reason(catalogue, replace(content(digest=None, inode=3), size=6)) == Reason.CONTENT_CHANGED


def test_a_program_that_executes_itself_after_its_update_is_known(catalogue):
    judged(catalogue, content(), learning=True)
    assert reason(catalogue, content(path="[deleted]", name=b"/opt/x", deleted=True, inode=9)) is None
    assert reason(catalogue, content(path="[deleted]", name=b"/tmp/x", deleted=True, inode=10)) == "deleted"


def test_gone_a_moment_later(catalogue):
    assert reason(catalogue, content(), gone=True) == Reason.DELETED
    assert reason(catalogue, content(path="/opt/y", digest=B, inode=2), gone=True, learning=True) is None


def test_a_known_program_in_the_directory_of_another_revision(catalogue):
    judged(catalogue, content(path="/snap/tool/7/bin/x"), learning=True)
    assert reason(catalogue, content(path="/snap/tool/8/bin/x", inode=2)) == Reason.REINSTALLED
    assert reason(catalogue, content(path="/snap/tool/x9/bin/x", inode=3)) == Reason.REINSTALLED
    assert reason(catalogue, content(path="/snap/tool/9/bin/x", digest=B, inode=4)) == Reason.NEW_PATH
    assert reason(catalogue, content(path="/snap/tool/10/bin/x", digest=B, inode=5)) == Reason.RELOCATED, "not learnt"
    for number, path in enumerate(("/snap/tool/8/bin/y", "/snap/other/8/bin/x", "/snap/tool/a/bin/x", "/snap/8")):
        assert reason(catalogue, content(path=path, inode=6 + number)) == Reason.RELOCATED


BUILT = {"fold_builds": lambda path: re.sub("[0-9]+", "*", path)}
USER = 1000


def product(number, **executed):
    """Return what a build makes in a directory with a name of its own."""
    return content(path=f"/tmp/{number}/x", digest=bytes([number]) * 32, inode=number, **{"user": USER, **executed})


def test_what_a_user_removed_while_learning_is_temporary(catalogue):
    judged(catalogue, product(1), learning=True, gone=True, **BUILT)
    assert reason(catalogue, product(2), gone=True, **BUILT) == Reason.TEMPORARY
    assert reason(catalogue, product(3), is_replaced=lambda _: True, **BUILT) == Reason.TEMPORARY
    assert reason(catalogue, product(4), **BUILT) == Reason.NEW_PATH, "it stays"
    assert {path for path, _, baseline in catalogue.programs() if "tmp" in path and baseline} == {
        "/tmp/1/x",
        "[removed by 1000]/tmp/*/x",
    }


def test_nothing_else_is_temporary(catalogue):
    judged(catalogue, product(1), learning=True, gone=True, **BUILT)
    others = [
        product(2, user=1001),
        product(3, user=None),
        product(4, scope=1),
        product(5, upper_layer=True),
        replace(product(6), package=PackageVerdict("dpkg", "tool", "differs")),
        content(path="/tmp/7/y", digest=B, inode=7, user=USER),
        content(path="/opt/x", digest=bytes(32), inode=8, user=USER),
        content(path="/tmp/9/x", digest=b"9" * 32, inode=9, user=USER, mode=0o4755),
    ]
    assert {reason(catalogue, one, gone=True, **BUILT) for one in others} == {Reason.DELETED}
    unlinked = content(path="[deleted]", name=b"/tmp/10/x", inode=10, deleted=True, user=USER)
    assert reason(catalogue, unlinked, gone=True, **BUILT) == Reason.DELETED


def test_what_stayed_while_learning_is_not_temporary(catalogue):
    judged(catalogue, product(1), learning=True, **BUILT)
    assert reason(catalogue, product(2), gone=True, **BUILT) == Reason.DELETED


def test_what_may_be_removed_soon_is_pending(catalogue):
    assert judged(catalogue, product(1), learning=True, waits=True, **BUILT).pending
    judged(catalogue, product(1), learning=True, gone=True, waits=True, **BUILT)
    assert not judged(catalogue, content(user=USER), learning=True, waits=True, **BUILT).pending, "a name of its own"
    verdict = judged(catalogue, product(2), waits=True, **BUILT)
    assert (verdict.program, verdict.finding, verdict.pending) == (None, None, True)
    assert reason(catalogue, product(2), **BUILT) == Reason.NEW_PATH


def test_quiet_reasons_are_reported_and_of_the_baseline(catalogue):
    judged(catalogue, content(), learning=True)
    assert reason(catalogue, content(inode=2)) == Reason.REINSTALLED
    assert judged(catalogue, content(inode=2)).reason is None, "known by now"


VOUCHED = PackageVerdict("dpkg", "tool", "agrees")


def test_packages(catalogue):
    judged(catalogue, content(), learning=True)
    assert reason(catalogue, content(digest=B, inode=2, package=VOUCHED)) == Reason.REINSTALLED
    differs = PackageVerdict("dpkg", "tool", "differs")
    assert reason(catalogue, content(digest=b"c" * 32, inode=3, package=differs)) == Reason.CONTENT_CHANGED
    new = content(path="/usr/bin/tool", digest=b"d" * 32, inode=4, package=VOUCHED)
    assert reason(catalogue, new, installed={"tool"}) is None
    other = content(path="/usr/bin/other", digest=b"e" * 32, inode=5, package=VOUCHED)
    assert reason(catalogue, other, installed={"another"}) == Reason.NEW_PATH


HOST, IMAGE, OTHER_IMAGE = 0, 5, 6


@pytest.mark.parametrize(
    ("known", "seen", "expected"),
    [
        ((HOST,), HOST, Reason.CONTENT_CHANGED),
        ((HOST,), IMAGE, Reason.NEW_PATH),
        ((HOST,), None, Reason.NEW_PATH),
        ((IMAGE,), HOST, Reason.NEW_PATH),
        ((IMAGE,), IMAGE, Reason.CONTENT_CHANGED),
        ((IMAGE,), OTHER_IMAGE, Reason.NEW_PATH),
        ((IMAGE, HOST), HOST, Reason.CONTENT_CHANGED),
        ((HOST, IMAGE), HOST, Reason.CONTENT_CHANGED),
        ((IMAGE, None), IMAGE, Reason.CONTENT_CHANGED),
        ((None,), None, Reason.NEW_PATH),
    ],
)
def test_content_changes_within_a_scope(catalogue, known, seen, expected):
    for inode, scope in enumerate(known):
        judged(catalogue, content(inode=inode + 1, scope=scope), learning=True)
    assert reason(catalogue, content(digest=B, inode=9, scope=seen)) == expected


def test_a_known_program_is_known_in_every_scope(catalogue):
    judged(catalogue, content(scope=IMAGE), learning=True)
    assert reason(catalogue, content(inode=2, scope=OTHER_IMAGE)) == Reason.REINSTALLED
    assert reason(catalogue, content(inode=3, scope=HOST)) == Reason.REINSTALLED


def fold(path):
    return re.sub("/tmp/[0-9]+", "/tmp/*", path)


def test_one_program_in_many_directories_that_a_rule_folds_is_one_finding(catalogue):
    first = judged(catalogue, content(path="/tmp/1/x"), fold=fold).finding
    assert (first.reason, first.path, first.known_as) == (Reason.NEW_PATH, "/tmp/1/x", "/tmp/*/x")
    assert reason(catalogue, content(path="/tmp/2/x", inode=2), fold=fold) == Reason.REINSTALLED
    assert [path for path, *_ in catalogue.programs()] == ["/tmp/*/x"]
    with catalogue.transaction():
        catalogue.add_finding(first, "{}")
        assert list(catalogue.findings()) == [first]
        catalogue.forget(first)
    again = judged(catalogue, content(path="/tmp/3/x", inode=3), fold=fold).finding
    assert (again.id, again.path) == (first.id, "/tmp/3/x")


def test_another_program_in_a_place_that_is_folded_is_no_change_of_the_first(catalogue):
    judged(catalogue, content(path="/tmp/1/x"), fold=fold)
    assert reason(catalogue, content(path="/tmp/2/x", digest=B, inode=2), fold=fold) == Reason.NEW_PATH


def test_what_was_learnt_before_there_was_a_rule_stays_known(catalogue):
    judged(catalogue, content(path="/tmp/1/x"), learning=True)
    assert reason(catalogue, content(path="/tmp/1/x", inode=2), fold=fold) == Reason.REINSTALLED
