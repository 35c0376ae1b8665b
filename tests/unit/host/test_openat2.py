"""Lookup of files in another root, by openat2(2) and where it is forbidden."""

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.host.openat2 import look_up, walk

LINKS = {
    "absolute": "/directory/file",
    "relative": "directory/file",
    "directory/up": "../file",
    "directory/absolute": "/file",
    "directory/out": "../../../../../../../../../../file",
    "up": "..",
    "here": ".",
    "root": "/",
    "slash": "directory/",
    "on": "absolute",
    "dangling": "/nothing",
    "loop": "loop",
    "through": "/file/../directory",
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    path = tmp_path_factory.mktemp("outside") / "root"
    (path / "directory").mkdir(parents=True)
    for file in (path / "file", path / "directory/file", path.parent / "file"):
        file.touch()
    for name, target in LINKS.items():
        (path / name).symlink_to(target)
    descriptor = os.open(path, os.O_PATH | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


def found(way, root, path):
    try:
        descriptor = way(root, path)
    except OSError as error:
        return error.errno
    status = os.fstat(descriptor)
    assert not os.get_inheritable(descriptor)
    os.close(descriptor)
    return status.st_dev, status.st_ino


NAMES = st.sampled_from(["", ".", "..", "file", "directory", "nothing", *LINKS]).map(str.encode)


@given(st.lists(NAMES, min_size=1, max_size=6).map(lambda names: b"/" + b"/".join(names)))
def test_both_ways_lead_to_the_same(root, path):
    assert found(walk, root, path) == found(look_up, root, path)


@pytest.mark.parametrize("path", [b"/directory/out", b"/../../file", b"/up/file", b"/directory/../../file"])
@pytest.mark.parametrize("way", [look_up, walk])
def test_no_way_leads_out(root, way, path):
    inside = os.stat(b"file", dir_fd=root)
    assert found(way, root, path) == (inside.st_dev, inside.st_ino)


def test_paths_that_cannot_be_followed(root):
    assert [found(walk, root, path) for path in (b"/loop", b"/dangling", b"/file/x", b"/file/")] == [
        errno.ELOOP,
        errno.ENOENT,
        errno.ENOTDIR,
        errno.ENOTDIR,
    ]


def test_nothing_stays_open(root):
    before = sorted(Path("/proc/self/fd").iterdir())
    for name in (*LINKS, "file", "directory/file/x"):
        found(walk, root, b"/" + name.encode())
    assert sorted(Path("/proc/self/fd").iterdir()) == before
