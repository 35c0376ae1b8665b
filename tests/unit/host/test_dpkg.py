"""Owners of files, by a dpkg database that the test makes."""

import hashlib

import pytest

from exporter.host.dpkg import Dpkg
from exporter.host.packages import Packages


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
def test_paths_that_only_resemble_maintainer_scripts(root, path):
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


def test_a_package_being_unpacked_owns_its_files_before_its_list_exists(root):
    coming = root / "var/lib/dpkg/tmp.ci"
    coming.mkdir()
    (coming / "control").write_text("Package: coreutils\n")
    (coming / "md5sums").write_text(f"{md5(b'new ls')}  bin/ls\n")
    assert Dpkg(root).owner(b"/bin/ls").recorded == bytes.fromhex(md5(b"new ls"))
