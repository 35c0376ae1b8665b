"""Programs that run already when learning starts: they were executed here before."""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from pathlib import Path

import psutil

from exporter.escape import escape
from exporter.host.procfs import Process
from exporter.novelty.executed_file import NOWHERE, ExecutedFile, FileFacts

AT_BASE = 7  # linux/auxvec.h: where the ELF interpreter was mapped


def programs_at_start(proc: Path = Path("/proc")) -> Iterator[ExecutedFile]:
    """Yield the programs and ELF interpreters of all visible processes, each file once, without deleted files."""
    seen = set()
    for pid in psutil.pids():
        for name, status, runs in _files(proc / str(pid)):
            file = status.st_dev, status.st_ino, name
            if file in seen or not status.st_nlink or not name.startswith(b"/"):
                continue
            seen.add(file)
            device = os.major(status.st_dev), os.minor(status.st_dev)
            facts = FileFacts(device, status.st_ino, status.st_ctime_ns, status.st_size, status.st_mode)
            yield ExecutedFile(escape(name), "", name, NOWHERE, facts, Process(pid), runs=runs, scope=None)


def _files(process: Path) -> Iterator[tuple[bytes, os.stat_result, bool]]:
    """Yield name, status and whether it is the program, of the program of a process and of its ELF interpreter."""
    try:
        link = process / "exe"
        yield os.readlink(os.fsencode(link)), link.stat(), True  # noqa: PTH115 - bytes
        base = dict(struct.iter_unpack("@LL", (process / "auxv").read_bytes())).get(AT_BASE)
        if base:
            mapped = re.search(rb"^0*%x-.* ([0-9]+) +(/.*)$" % base, (process / "maps").read_bytes(), re.MULTILINE)
            if mapped:
                status = (process / "root" / os.fsdecode(mapped[2]).lstrip("/")).stat()
                if status.st_ino == int(mapped[1]):
                    yield mapped[2], status, False
    except (
        OSError,
        struct.error,
    ):  # a kernel thread, a process that has ended, is not ours to see, or of another word size
        return
