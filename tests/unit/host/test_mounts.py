import os
from contextlib import contextmanager
from pathlib import Path

import pytest

from exporter.host import mounts
from exporter.host.mounts import names_of

LINES = r"""22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 0:21 / /proc rw - proc proc rw
30 22 8:1 /srv/data /mnt\040with\134space rw - ext4 /dev/sda1 rw
31 22 8:1 /srv/dat /other rw - ext4 /dev/sda1 rw
32 22 8:17 / /media rw - ext4 /dev/sdb1 rw
33 22
"""


@contextmanager
def process(directory, text):
    (directory / "mountinfo").write_text(text)
    descriptor = os.open(directory, os.O_PATH)
    yield descriptor
    os.close(descriptor)


@pytest.mark.parametrize(
    ("device", "path", "names"),
    [
        ((8, 1), b"srv/data/bin/x", [b"//srv/data/bin/x", rb"/mnt with\space/bin/x"]),
        ((8, 1), b"srv/database/x", [b"//srv/database/x"]),
        ((8, 17), b"x", [b"/media/x"]),
        ((8, 2), b"x", []),
    ],
)
def test_the_names_of_a_file(tmp_path, device, path, names):
    with process(tmp_path, LINES) as directory:
        assert list(names_of(directory, device, path)) == names


def test_no_more_than_so_much_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(mounts, "MAX_BYTES", mounts.CHUNK)
    with process(tmp_path, LINES + " " * mounts.CHUNK + "\n99 22 8:99 / /end rw - ext4 /dev/sdz rw\n") as directory:
        assert list(names_of(directory, (8, 17), b"x")) == [b"/media/x"]
        assert list(names_of(directory, (8, 99), b"x")) == []


def test_of_this_process():
    status = Path("/proc").stat()
    directory = os.open("/proc/self", os.O_PATH)
    assert b"/proc/" in names_of(directory, (os.major(status.st_dev), os.minor(status.st_dev)), b"")
    os.close(directory)
