"""Events of an ordinary day after learning, executed for real, cause no findings: upgrades, restarts, a reboot."""

import hashlib
import json
import os
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from random import choice
from string import ascii_letters
from time import time_ns
from uuid import uuid4

import pytest

from tests.kernel.novel import new_elf, unmount, watching
from tests.kernel.programs import execute, script
from tests.kernel.tracing import child, mount, own_mounts
from tests.waiting import until

RESTARTS = 50
LINKS = 1000
IMAGES, STARTS = 10, 100
REPETITIONS = 20
PACKAGE = "exec-exporter-test"
REINSTALLED = ("mawk", "sensible-utils")
QUIET = {"reinstalled", "metadata_only"}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Make the programs that exist during learning: a tool of a package, a script, a container's image, a disk."""
    directory = tmp_path_factory.mktemp("ordinary")
    directory.chmod(0o755)
    for name in ("lower", "empty", "merged", "disk", "links", "opt", "built", "snap", "snap/7"):
        (directory / name).mkdir()
    new_elf(directory / "lower/program")
    for number in range(IMAGES):
        (directory / f"image-{number}").mkdir()
        new_elf(directory / f"image-{number}/program")  # of the same size: some end before they are read
    new_elf(directory / "opt/program")
    new_elf(directory / "snap/7/program")
    (directory / "opt/job").write_text(f"#!/bin/sh\n# {directory}\ntrue\n")
    (directory / "opt/job").chmod(0o755)
    with (directory / "image").open("wb") as file:
        file.truncate(8 << 20)
    subprocess.run(["mkfs.ext4", "-q", directory / "image"], check=True)
    return directory


@pytest.fixture(scope="module")
def host(place):
    """Yield a service that has learnt a day in which everything happened once."""
    with watching(place, learning="1h", state="learning") as host, installed(place, "1"):
        container(place)
        for number in range(IMAGES):
            container(place, image=f"image-{number}")
        for path in temporary(place):
            execute(path)
            path.unlink()
        with disk(place, loop=0):
            execute(new_elf(place / "disk/program"))
            until(lambda: str(place / "disk/program") in host.programs())
        execute(place / "opt/program")
        execute(place / "snap/7/program")
        execute(place / "opt/job")
        execute(f"/opt/{PACKAGE}/tool")
        apt_reinstall("hostname")
        subprocess.run(["mawk", "BEGIN{}"], check=True)
        # learning creates no findings to wait for, but its programs are in the catalogue
        until(lambda: str(place / "opt/job") in host.programs())
        until(lambda: f"/opt/{PACKAGE}/tool" in host.programs())
        until(lambda: sum(path.startswith("[removed by 0]/") and "/built/" in path for path in host.programs()) == 4)
    with watching(place, learning="1ms") as host:
        yield host
    subprocess.run(["dpkg", "--purge", PACKAGE], check=True, capture_output=True)


@contextmanager
def own_cgroup():
    """Put children into a cgroup of their own, which distinguishes their findings from those of other processes."""
    (mounted,) = [
        line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines() if line.split()[2] == "cgroup2"
    ][:1]
    group = Path(mounted) / f"exec_exporter-test-{os.getpid()}"
    before = next(
        line.partition("::")[2] for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::")
    )
    group.mkdir()
    (group / "cgroup.procs").write_text(str(os.getpid()))
    try:
        yield group.stat().st_ino
    finally:
        (Path(mounted + before) / "cgroup.procs").write_text(str(os.getpid()))
        until(lambda: not (group / "cgroup.procs").read_text().split())
        group.rmdir()


def findings_of(host, action):
    """Return path and reason of the findings that an action causes."""
    with own_cgroup() as group:
        before = {(row[0], row[2]) for row in host.rows()}
        action()
        host.catch_up()
    return [
        (path, reason, record.get("argv"))
        for path, reason, content, record in host.rows()
        if (path, content) not in before and record.get("cgroup") == group and "/canary-" not in path
    ]


def quiet(host):
    return {reason: host.value("exec_novel_binaries_total", reason=reason) for reason in QUIET}


def apt_reinstall(*packages):
    command = ["apt-get", "install", "--reinstall", "-y", "-qq", "-o", "DPkg::Lock::Timeout=120", *packages]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for attempt in range(2):
        result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        if result.returncode == 0:
            return
        if attempt == 0:
            subprocess.run(["apt-get", "update", "-qq"], capture_output=True, check=True)
    raise AssertionError(result.stderr)


def build(directory, version):
    """Build a Debian package with a program, whose content differs between versions, and maintainer scripts."""
    tree = directory / f"package-{version}"
    (tree / f"opt/{PACKAGE}").mkdir(parents=True)
    (tree / "DEBIAN").mkdir()
    tool = new_elf(tree / f"opt/{PACKAGE}/tool")
    digest = hashlib.md5(tool.read_bytes()).hexdigest()
    (tree / "DEBIAN/md5sums").write_text(f"{digest}  opt/{PACKAGE}/tool\n")
    (tree / "DEBIAN/control").write_text(
        f"Package: {PACKAGE}\nVersion: {version}\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\n"
        "Description: for a test\n"
    )
    for name in ("preinst", "postinst", "prerm"):
        (tree / f"DEBIAN/{name}").write_text(f"#!/bin/sh\n# {version} {directory}\ntrue\n")
        (tree / f"DEBIAN/{name}").chmod(0o755)
    archive = directory / f"{PACKAGE}-{version}.deb"
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", tree, archive], check=True, capture_output=True)
    return archive


def install(archive):
    subprocess.run(["dpkg", "-i", archive], check=True, capture_output=True)


@contextmanager
def installed(directory, version):
    install(build(directory, version))
    yield


def temporary(place):
    """Make programs as builds execute and remove: of configure, CMake, `go run` and a step of a CI runner."""
    names = ("conftest", f"TryCompile-{_letters(6)}/cmTC_{uuid4().hex[:5]}", f"go-build{time_ns()}/b001/exe/x")
    paths = [place / "built" / name for name in names]
    for path in paths:
        path.parent.mkdir(exist_ok=True, parents=True)
        new_elf(path)
    return [*paths, script(place / f"built/{uuid4()}.sh")]


def execute_as(user, program):
    descriptor = os.open(program, os.O_PATH)
    os.setresuid(user, user, user)
    os.execve(descriptor, ["x"], {})


def _letters(count):
    return "".join(choice(ascii_letters) for _ in range(count))


def container(place, held=0, program="program", image="lower"):
    """Start the equivalent of a container from the same image; its overlay has another device number each time."""

    def action(tell):
        own_mounts()
        for number in range(held):  # free device numbers would be reused
            (place / f"held-{number}").mkdir(exist_ok=True)
            mount("none", place / f"held-{number}", "tmpfs")
        mount("none", place / "merged", "overlay", data=f"lowerdir={place}/{image}:{place}/empty")
        tell({"dev": (place / "merged").stat().st_dev})
        os.execve(place / "merged" / program, ["x"], {})

    return child(action)[1]["dev"]


@contextmanager
def disk(place, loop):
    """Mount the disk as after a reboot: `loop` other devices come first and change its number."""
    others = []
    try:
        for _ in range(loop):
            made = subprocess.run(["losetup", "--find", "--show", place / "image"], capture_output=True, check=True)
            others.append(made.stdout.decode().strip())
        mine = subprocess.run(["losetup", "--find", "--show", place / "image"], capture_output=True, check=True)
        others.append(mine.stdout.decode().strip())
        subprocess.run(["mount", others[-1], place / "disk"], check=True)
        try:
            yield (place / "disk").stat().st_dev
        finally:
            unmount(place / "disk")
    finally:
        for device in others:
            subprocess.run(["losetup", "--detach", device], check=True)


def test_a_finding_would_be_seen(host, place):
    """Prove that the other tests of this file would see a finding."""
    planted = new_elf(place / "planted")
    assert findings_of(host, lambda: execute(planted)) == [(str(planted), "new_path", None)]


@pytest.mark.skipif(not shutil.which("apt-get"), reason="there is no apt-get")
def test_packages_are_reinstalled(host):
    before = quiet(host)

    def day():
        apt_reinstall(*REINSTALLED)
        subprocess.run(["mawk", "BEGIN{}"], check=True)

    assert findings_of(host, day) == []
    assert quiet(host)["reinstalled"] > before["reinstalled"], "mawk lies in another file now"


def test_a_package_is_upgraded(host, place):
    """Its program has other content at the same path, and its maintainer scripts are new."""
    before = quiet(host)
    archive = build(place, "2")

    def upgrade():
        install(archive)
        execute(f"/opt/{PACKAGE}/tool")

    assert findings_of(host, upgrade) == []
    assert quiet(host)["reinstalled"] > before["reinstalled"]


def test_a_file_of_a_package_that_somebody_else_changed_is_found_and_explained(host, place):
    tool = new_elf(Path(f"/opt/{PACKAGE}/evil")).rename(f"/opt/{PACKAGE}/tool")
    assert findings_of(host, lambda: execute(tool)) == [(str(tool), "content_changed", None)]
    (found,) = [one for one in json.loads(host.command("findings", "list", "--json")) if one["path"] == str(tool)]
    assert (found["package"]["package"], found["package"]["digest"]) == (PACKAGE, "differs")
    assert found["sha256"] == hashlib.sha256(tool.read_bytes()).hexdigest()


def test_the_same_again_and_again(host, place):
    def day():
        for _ in range(REPETITIONS):
            for stdin in ("/dev/null", "/dev/zero", str(place / "opt/job"), None):
                execute(place / "opt/program", stdin=stdin)
                execute(place / "opt/job", stdin=stdin)

    assert findings_of(host, day) == []


def test_chmod_chown_a_hard_link_and_a_copy_in_its_place(host, place):
    program, before = place / "opt/program", quiet(host)

    def day():
        # each is judged before the next: the change time shows that a file has changed
        program.chmod(0o711)
        execute(program)
        host.catch_up()
        os.chown(program, 1, 1)
        execute(program)
        host.catch_up()
        (place / "opt/hard link").hardlink_to(program)
        execute(place / "opt/hard link")
        execute(program)
        host.catch_up()
        shutil.copy2(program, place / "opt/new")
        (place / "opt/new").rename(program)
        execute(program)

    assert findings_of(host, day) == []
    after = quiet(host)
    assert after["metadata_only"] >= before["metadata_only"] + 3
    assert after["reinstalled"] >= before["reinstalled"] + 1


def test_a_container_is_restarted(host, place):
    devices = set()

    def day():
        for number in range(RESTARTS):
            devices.add(container(place, held=number % 7))

    assert findings_of(host, day) == []
    assert len(devices) > 1


def test_containers_of_ten_images_with_equal_paths(host, place):
    def day():
        for number in range(STARTS):
            container(place, image=f"image-{number % IMAGES}")

    assert findings_of(host, day) == []


def test_programs_that_builds_execute_and_remove(host, place):
    before = host.value("exec_novel_binaries_total", reason="temporary")

    def day():
        for path in temporary(place):
            execute(path)
            path.unlink()
        (slow,) = (path for path in temporary(place) if path.suffix == ".sh")
        slow.write_text("#!/bin/sh\nread line\n")
        with subprocess.Popen([slow], stdin=subprocess.PIPE) as process:
            host.catch_up()
            process.communicate(b"\n")
        slow.unlink()

    assert findings_of(host, day) == []
    # conftest may be known by now: learnt by its size, it was read later
    until(lambda: host.value("exec_novel_binaries_total", reason="temporary") >= before + 4)


def test_the_same_by_another_user_or_elsewhere_is_found(host, place):
    program = temporary(place)[2]
    other = new_elf(place / "built/other")

    def day():
        child(lambda _: execute_as(65534, program))
        execute(other)
        program.unlink()
        other.unlink()

    assert findings_of(host, day) == [(str(path), "deleted", None) for path in (program, other)]


def test_a_program_in_the_directory_of_another_revision(host, place):
    (place / "snap/8").mkdir()
    shutil.copy(place / "snap/7/program", place / "snap/8/program")
    assert findings_of(host, lambda: execute(place / "snap/8/program")) == []


def test_a_reboot_changes_device_numbers(host, place):
    devices = set()

    def day():
        for loop in range(3):
            with disk(place, loop) as device:
                devices.add(device)
                execute(place / "disk/program")
                host.catch_up()

    assert findings_of(host, day) == []
    assert len(devices) == 3


def test_a_script_through_very_many_symbolic_links(host, place):
    job = place / "opt/job"

    def day():
        for number in range(LINKS):
            link = place / f"links/{number}"
            link.symlink_to(job)
            execute(link)

    assert findings_of(host, day) == []
