"""Containers, as far as files go: layers that were written to or not, paths that several root directories have."""

import json
import os
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.kernel.novel import new_elf, watching
from tests.kernel.programs import execute, script
from tests.kernel.tracing import MNT_DETACH, MS_BIND, checked, libc, mount, own_mounts, own_users
from tests.waiting import until

SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}[os.uname().machine]
NO_OVERLAY = 3
METADATA_ALONE = ",metacopy=on,redirect_dir=on"
RULES = r'paths: {rules: [{match: "/build-[0-9]+/", replace: "/build-*/"}]}'


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    directory = tmp_path_factory.mktemp("containers")
    (directory / "config.yml").write_text(RULES)
    with watching(directory, f"--config.file={directory}/config.yml") as host:
        yield host


@contextmanager
def container(action):
    """Call `action` in a process that lives until the block ends; what it executes can be read as long."""
    ready, held = os.pipe(), os.pipe()
    pid = os.fork()
    if not pid:
        os.close(held[1])
        try:
            os.write(ready[1], bytes([action() or 0]))
            os.read(held[0], 1)
        finally:
            os._exit(0)
    os.close(ready[1])
    os.close(held[0])
    try:
        if os.read(ready[0], 1) == bytes([NO_OVERLAY]):
            pytest.skip("no overlay: not in a user namespace")
        yield
    finally:
        os.close(held[1])
        os.close(ready[0])
        os.waitpid(pid, 0)


def same_size(path, times=None):
    """Change a byte, and set the times back if there are any to set."""
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    if times:
        os.utime(path, ns=times)


def zeroed_end(path):
    """Truncate, and extend to the size that it had."""
    size = path.stat().st_size
    os.truncate(path, size - 1)
    os.truncate(path, size)


def replaced(path):
    path.unlink()
    new_elf(path)


COPIED_UP = {
    "untouched": lambda path: None,
    "chmod": lambda path: path.chmod(0o711),
    "chown": lambda path: os.chown(path, 1, 1),
    "touch": os.utime,
    "link": lambda path: os.link(path, path.with_name("another name")),
    "rename": lambda path: path.rename(path.with_name("renamed")).rename(path),
    "the same bytes": lambda path: path.write_bytes(path.read_bytes()),
    "opened for writing": lambda path: os.close(os.open(path, os.O_WRONLY)),
    "truncated to its size": lambda path: os.truncate(path, path.stat().st_size),
    "script": lambda path: path.chmod(0o700),
}
WRITTEN = {
    "a byte": same_size,
    "a byte and the times": lambda path: same_size(path, (path.stat().st_atime_ns, path.stat().st_mtime_ns)),
    "truncated and extended": zeroed_end,
    "more bytes": lambda path: path.write_bytes(path.read_bytes() + b"x"),
    "another file": replaced,
    "a new file": new_elf,
}


def layers(directory, names=()):
    """Make the directories of an overlay, with a program or script for each name in the lower layer."""
    for name in ("lower", "upper", "work", "merged"):
        (directory / name).mkdir(parents=True)
    for name in names:
        if name == "script":
            with script(directory / "lower" / name).open("a") as file:
                file.write(f"# {directory}\n")
        else:
            new_elf(directory / "lower" / name)
    return f"lowerdir={directory}/lower,upperdir={directory}/upper,workdir={directory}/work"


@pytest.mark.parametrize("overlay", ["plain", "with metadata alone", "over an overlay"])
def test_what_was_copied_up_is_drift_only_if_it_was_written_to(host, tmp_path, overlay):
    changes = {**COPIED_UP, **WRITTEN}
    data, second = layers(tmp_path, changes.keys() - {"a new file"}), layers(tmp_path / "over")
    merged = tmp_path / ("over/merged" if overlay == "over an overlay" else "merged")

    def action():
        own_mounts()
        mount("none", tmp_path / "merged", "overlay", data=data + METADATA_ALONE * (overlay == "with metadata alone"))
        if overlay == "over an overlay":
            mount("none", merged, "overlay", data=second.replace(f"{tmp_path}/over/lower", f"{tmp_path}/merged"))
        for name, change in changes.items():
            change(merged / name)
        for name in changes:
            execute(merged / name)

    with container(action):
        host.catch_up()
        found = {Path(path).name: reason for path, reason, *_ in host.rows(merged)}
        until(lambda: flagged(host, merged) >= WRITTEN.keys())
        assert flagged(host, merged) == WRITTEN.keys()
    expected = dict.fromkeys(COPIED_UP, "new_path") | dict.fromkeys(WRITTEN, "upper_layer")
    assert found == {**expected, "script": "script"}


def flagged(host, below):
    """The names of programs with the trait."""
    return {
        Path(sample.labels["path"]).name
        for sample in host.samples()
        if sample.name == "exec_trait_last_seen_timestamp_seconds"
        and sample.labels["trait"] == "container_upper_layer"
        and sample.labels["path"].startswith(str(below))
    }


def test_an_overlay_of_a_user_namespace_is_not_trusted(host, tmp_path):
    merged, data = tmp_path / "merged", layers(tmp_path, ["chmod"])

    def action():
        own_users()
        try:
            mount("none", merged, "overlay", data=data)
        except OSError:
            return NO_OVERLAY
        (merged / "chmod").chmod(0o711)
        execute(merged / "chmod")
        return 0

    with container(action):
        host.catch_up()
        assert [row[1] for row in host.rows(merged)] == ["upper_layer"]
        until(lambda: flagged(host, merged) == {"chmod"})


def in_image(image):
    """Make the directory the root of this process's mounts, of which it has some of its own."""
    own_mounts()
    mount(image, image, flags=MS_BIND)
    os.chdir(image)
    checked(libc.syscall(SYS_PIVOT_ROOT, b".", b"."))
    checked(libc.umount2(b".", MNT_DETACH))


def run(path):
    """Execute a static program without anything else of its root directory."""
    pid = os.fork()
    if not pid:
        try:
            os.execve(path, ["x"], {})
        finally:
            os._exit(127)
    os.waitpid(pid, 0)


def test_content_changes_where_the_root_directory_is_the_same(host, tmp_path):
    """The host and two images have a program at one path; only new content in the same one of them is a change."""
    path = tmp_path / "opt/server"
    images = [tmp_path / "image-1", tmp_path / "image-2"]
    places = [path, *(Path(f"{image}{path}") for image in images)]
    for place in places:
        place.parent.mkdir(parents=True)
        new_elf(place)
    other = new_elf(tmp_path / "other")

    def of_image(image):
        def action():
            in_image(image)
            run(path)

        return action

    def mounted_over():
        own_mounts()
        mount(other, path, flags=MS_BIND)
        run(path)

    def found(action):
        before = len(host.rows(path))
        with container(action):
            host.catch_up()
        return [row[1] for row in host.rows(path)[before:]]

    assert found(lambda: run(path)) == ["new_path"]
    assert [found(of_image(image)) for image in images] == [["new_path"], ["new_path"]]
    assert found(mounted_over) == ["new_path"]
    for place, action in zip(places, (lambda: run(path), *map(of_image, images)), strict=True):
        place.unlink()
        new_elf(place)
        assert found(action) == ["content_changed"], place


def test_containers_of_an_image_share_its_programs(host, tmp_path):
    """Images have different programs at one path, and one has an update of it: no path is that of another image."""
    path, images = Path("/usr/bin/app"), [tmp_path / f"image-{number}" for number in range(2)]
    for image in images:
        (image / "lower/usr/bin").mkdir(parents=True)
        new_elf(Path(f"{image}/lower{path}"))

    def container_of(image, number, change=None):
        def action():
            own_mounts()
            merged = image / f"{number}/merged"
            mount("none", merged, "overlay", data=data.replace(f"{image}/{number}/lower", f"{image}/lower"))
            if change:
                change(Path(f"{merged}{path}"))
            in_image(merged)
            run(path)

        data, before = layers(image / str(number)), len(host.rows(path))
        with container(action):
            host.catch_up()
        return [row[1] for row in host.rows(path)[before:]]

    assert [container_of(image, number) for image in images for number in range(2)] == [
        ["new_path"],
        [],
        ["new_path"],
        [],
    ]
    assert container_of(images[0], 3, lambda program: program.chmod(0o711)) == []
    assert container_of(images[0], 4, same_size) == ["content_changed"]


def test_a_rule_that_folds_paths_holds_for_findings_as_for_counts(host, tmp_path):
    program, places = new_elf(tmp_path / "program"), [tmp_path / f"build-{number}" for number in range(3)]
    for place in places:
        place.mkdir()
        shutil.copy(program, place / "x")
        execute(place / "x")
        host.catch_up()
    assert [(row[0], row[1]) for row in host.rows(tmp_path)] == [(str(places[0] / "x"), "new_path")]
    shown = f"{tmp_path}/build-*/x"
    assert host.open(tmp_path) == {shown: "new_path"}
    assert host.value("exec_executions_total", path=shown) == len(places)
    findings = json.loads(host.command("findings", "list", "--json"))
    (listed,) = [finding for finding in findings if finding["path"] == str(places[0] / "x")]
    assert [s.labels["path"] for s in host.samples() if s.labels.get("id") == listed["id"]] == [shown]
