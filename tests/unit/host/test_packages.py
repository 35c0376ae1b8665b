"""Who owns a file, by package databases that lie in a directory of the test's."""

import hashlib
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.host.dpkg import Dpkg
from exporter.host.packages import PART, Digests, Index, Owner, Packages
from exporter.host.rpm import Rpm


def md5(data):
    return hashlib.md5(data).hexdigest()


@pytest.fixture
def root(tmp_path):
    info = tmp_path / "var/lib/dpkg/info"
    info.mkdir(parents=True)
    (info / "coreutils.md5sums").write_text(f"{md5(b'ls')}  bin/ls\n{md5(b'a b')}  usr/share/a b\n")
    (info / "libc6:amd64.md5sums").write_text(f"{md5(b'ld')}  lib/ld.so\n")
    (info / "perf.md5sums").write_text(f"{md5(b'perf')}  usr/bin/perf\n")
    (info.parent / "status").write_text(
        "Package: cron\nStatus: install ok installed\nConffiles:\n"
        f" /etc/cron.daily/job {md5(b'job')}\n /etc/old {md5(b'old')} obsolete\nDescription: x\n\n"
        "Package: other\nDescription: y\n"
    )
    (info.parent / "diversions").write_text("/usr/bin/perf\n/usr/bin/perf.diverted\nwrapper\n")
    return tmp_path


@pytest.mark.parametrize(
    ("path", "package", "content"),
    [
        (b"/bin/ls", "coreutils", b"ls"),
        (b"/usr/bin/ls", "coreutils", b"ls"),
        (b"/usr/share/a b", "coreutils", b"a b"),
        (b"/usr/lib/ld.so", "libc6", b"ld"),
        (b"/etc/cron.daily/job", "cron", b"job"),
        (b"/etc/old", "cron", b"old"),
        (b"/usr/bin/perf.diverted", "perf", b"perf"),
    ],
)
def test_files_of_debian_packages(root, path, package, content):
    owner = Packages([Dpkg(root)]).owner(path)
    assert (owner.manager, owner.package) == ("dpkg", package)
    for found, said in ((content, "agrees"), (content + b"!", "differs")):
        assert owner.explain(None, hashlib.md5(found).digest()).digest == said
    assert owner.explain(None, None).digest == "unknown"


@pytest.mark.parametrize("path", [b"/usr/bin/nothing", b"/tmp/ls", b"/opt/bin/ls", b"/ls", b"/"])
def test_files_of_nobody(root, path):
    assert Packages([Dpkg(root)]).owner(path) is None


@pytest.mark.parametrize(
    ("path", "package"),
    [
        (b"/var/lib/dpkg/info/cron.postinst", "cron"),
        (b"/var/lib/dpkg/info/libc6:amd64.postinst", "libc6"),
        (b"/var/lib/dpkg/tmp.ci/preinst", "unpacked"),
        (b"/var/cache/debconf/tzdata.config.Ab3dEf", "tzdata"),
    ],
)
def test_maintainer_scripts(root, path, package):
    coming = root / "var/lib/dpkg/tmp.ci"
    coming.mkdir()
    (coming / "control").write_text("Package: unpacked\nVersion: 2\n")
    owner = Packages([Dpkg(root)]).owner(path)
    assert (owner.package, owner.maintainer_script, owner.recorded) == (package, True, None)
    assert owner.explain(None, None).digest == "not recorded"


@pytest.mark.parametrize("path", [b"/tmp/cron.postinst", b"/var/lib/dpkg/info/x/y.postinst", b"/var/lib/dpkg/tmp.ci/x"])
def test_what_only_looks_like_a_maintainer_script(root, path):
    assert Packages([Dpkg(root)]).owner(path) is None


def test_an_upgrade_is_noticed(root):
    database = Dpkg(root)
    assert database.owner(b"/bin/ls").recorded == bytes.fromhex(md5(b"ls"))
    new = root / "var/lib/dpkg/info/coreutils.md5sums-new"
    new.write_text(f"{md5(b'new ls')}  bin/ls\n")
    new.rename(new.with_name("coreutils.md5sums"))
    assert database.owner(b"/bin/ls").recorded == bytes.fromhex(md5(b"new ls"))
    (root / "var/lib/dpkg/info/coreutils.md5sums").unlink()
    assert database.owner(b"/bin/ls") is None


def test_what_is_being_unpacked_is_in_force_before_its_list_is(root):
    coming = root / "var/lib/dpkg/tmp.ci"
    coming.mkdir()
    (coming / "control").write_text("Package: coreutils\n")
    (coming / "md5sums").write_text(f"{md5(b'new ls')}  bin/ls\n")
    assert Dpkg(root).owner(b"/bin/ls").recorded == bytes.fromhex(md5(b"new ls"))


def test_no_database(tmp_path):
    assert Packages([Dpkg(tmp_path), Rpm(tmp_path)]).owner(b"/usr/bin/ls") is None


@given(st.dictionaries(st.binary(max_size=20), st.tuples(st.binary(min_size=16, max_size=16), st.integers(0, 1 << 31))))
def test_digests_are_found_and_no_others(files):
    digests = Digests((path, *row) for path, row in files.items())
    assert {path: digests.find(path) for path in files} == files
    assert len(digests) == len(files)
    assert digests.find(b"x" * 21) is None


PATHS = st.lists(st.binary(max_size=2), unique=True, max_size=20)


@given(st.lists(PATHS, max_size=20))
def test_an_index_finds_what_the_first_of_many_has(parts):
    index = Index([Digests((path, bytes([number]) * 16, 0) for path in paths) for number, paths in enumerate(parts)])
    first = {path: number for number, paths in reversed(list(enumerate(parts))) for path in paths}
    assert {path: index.find(path) for path in first} == {path: (n, bytes([n]) * 16) for path, n in first.items()}
    assert index.find(b"xyz") is None


def test_an_index_tells_paths_apart_whose_hashes_it_does_not():
    class Hashed(bytes):
        def __hash__(self):
            return self[0]  # all within PART

    one, other, none = Hashed(b"\1"), Hashed(b"\2"), Hashed(b"\3")
    assert {hash(each) | PART for each in (one, other, none)} == {PART}
    index = Index([Digests([(one, b"1" * 16, 0)]), Digests([(other, b"2" * 16, 0)])])
    assert [index.find(each) for each in (one, other, none)] == [(0, b"1" * 16), (1, b"2" * 16), None]


SAID = (
    b"bash\t8\t" + b"ab" * 32 + b"\t/usr/bin/bash\n"
    b"bash\t8\t\t/usr/share/doc/bash\n"
    b"old\t(none)\t" + b"cd" * 16 + b"\t/usr/bin/o\tld\n"
)


def test_rpm(tmp_path):
    directory = tmp_path / "var/lib/rpm"
    directory.mkdir(parents=True)
    (directory / "rpmdb.sqlite").touch()
    asked = []

    def query(where):
        asked.append(where)
        return SAID

    database = Rpm(tmp_path, query)
    assert database.owner(b"/usr/bin/bash") == Owner("rpm", "bash", "sha256", bytes.fromhex("ab" * 16))
    assert database.owner(b"/usr/bin/o\tld") == Owner("rpm", "old", "md5", bytes.fromhex("cd" * 16))
    assert database.owner(b"/usr/share/doc/bash") is None
    assert database.owner(b"/usr/bin/bash").explain(bytes.fromhex("ab" * 32), None).vouched
    assert asked == [directory], "once, as long as nothing changes"
    os.utime(directory / "rpmdb.sqlite", (1, 1))
    database.owner(b"/usr/bin/bash")
    assert len(asked) == 2


def test_an_rpm_database_that_cannot_be_read_is_said_once(tmp_path, caplog):
    directory = tmp_path / "usr/lib/sysimage/rpm"
    directory.mkdir(parents=True)
    (directory / "Packages").touch()

    def query(_):
        raise FileNotFoundError("there is no rpm command")

    database = Rpm(tmp_path, query)
    assert [database.owner(b"/bin/x") for _ in range(3)] == [None] * 3
    assert len(caplog.records) == 1
