"""Programs that are known and were no findings: running at the start, learnt, or of a package."""

import hashlib
import os
import stat

from exporter.catalogue.catalogue import Catalogue
from exporter.host.procfs import NOBODY
from exporter.novelty.detector import SETTLE_SECONDS, TICK_SECONDS
from exporter.novelty.executed_file import NOWHERE, ExecutedFile, FileFacts
from tests.unit.novelty.host import Host


def running(path, **changes):
    """Return the file as found among the running programs."""
    status = path.stat()
    facts = {
        "dev": (os.major(status.st_dev), os.minor(status.st_dev)),
        "inode": status.st_ino,
        "ctime": status.st_ctime_ns,
        "size": status.st_size,
        "mode": status.st_mode,
    }
    return ExecutedFile(str(path), "", os.fsencode(path), NOWHERE, FileFacts(**{**facts, **changes}), NOBODY)


def programs(host):
    return {path for (path,) in host.rows("SELECT path FROM programs WHERE baseline")}


def execute(host, *paths):
    for path in paths:
        host.execute(path)
    host.step()
    host.step(SETTLE_SECONDS)


def test_a_new_catalogue_is_seeded_with_running_programs_that_could_be_read(tmp_path):
    at_start = []
    host = Host(tmp_path, at_start=at_start)
    program, changed, setuid, new = (host.program() for _ in range(4))
    at_start += [running(program), running(changed, ctime=1)]
    tmp_path.chmod(0o1777)
    setuid.chmod(0o4755)
    at_start.append(running(setuid))
    execute(host, program, new)
    assert programs(host) == {str(program)}, "not what is unknown, nor what somebody could put in its place"
    assert host.found() == {str(new): "new_path"}
    assert stat.S_IMODE(setuid.stat().st_mode) == 0o4755


def test_only_a_new_catalogue_is_seeded(tmp_path):
    at_start = []
    host = Host(tmp_path, at_start=at_start)
    assert not host.baseline.is_seeded(host.catalogue)
    host.step()
    assert host.baseline.is_seeded(host.catalogue)
    at_start.append(running(host.program()))
    host.start()
    host.step()
    assert programs(host) == set()


def packaged(host, package="tool"):
    path = host.program()
    host.installed[os.fsencode(path)] = package, hashlib.md5(path.read_bytes()).digest()
    return path


def test_packages_that_are_installed_when_learning_ends_are_known(tmp_path):
    host = Host(tmp_path, learning=60.0, installed={})
    host.step()
    known = packaged(host)
    host.step(60.0)
    late = packaged(host, "late")
    tampered = packaged(host)
    tampered.write_bytes(b"tampered")
    execute(host, known, late, tampered)
    assert host.found() == {str(late): "new_path", str(tampered): "new_path"}


def test_trusted_packages_are_those_of_the_end_of_learning_also_in_the_next_process(tmp_path):
    host = Host(tmp_path)
    packaged(host)
    host.step()
    late = packaged(host, "late")
    host.catalogue.close()
    host.catalogue = Catalogue(host.path, create=True)
    host.start()
    execute(host, late)
    assert host.found() == {str(late): "new_path"}


def test_packages_need_not_be_trusted(tmp_path):
    host = Host(tmp_path, trust_packages=False)
    program = packaged(host)
    host.step()
    execute(host, program)
    assert host.found() == {str(program): "new_path"}
    assert host.rows("SELECT * FROM meta WHERE name = 'packages'") == []


def test_learning_goes_on_where_the_last_process_ended(tmp_path):
    host = Host(tmp_path, learning=60.0)
    host.step()
    host.step(40.0)
    host.now += 1000.0  # no exporter runs
    host.start()
    host.step()
    host.step(19.0)
    assert (host.baseline.learning.active, host.baseline.learning.state) == (True, "learning")
    assert host.baseline.learning.end == host.now + 1.0
    host.step(TICK_SECONDS)
    assert (host.baseline.learning.active, host.baseline.learning.state) == (False, "watching")
    assert host.baseline.learning.end == host.now


def test_a_new_catalogue_learns_again_and_trusts_the_packages_of_then(tmp_path):
    host = Host(tmp_path, learning=60.0)
    host.step()
    host.step(60.0)
    host.catalogue.close()
    host.path.unlink()
    host.catalogue = Catalogue(host.path, create=True)
    host.step()
    assert host.baseline.learning.state == "learning"
    late = packaged(host, "late")
    host.step(60.0)
    execute(host, late)
    assert host.found() == {}
