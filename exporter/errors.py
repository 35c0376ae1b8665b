"""Errors that end the exporter with one line: what is wrong and what to do."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

USAGE = 2
FAILED = 1


class ExporterError(Exception):
    """An error for the user: `what` is wrong, the `remedy`, and the exit `status` of the process."""

    def __init__(self, what: str, remedy: str, status: int = FAILED) -> None:
        super().__init__(f"{what}: {remedy}")
        self.what, self.remedy = what, remedy
        self.status = status


# Remedies for errors that report an exhausted resource of the machine or the process.
REMEDIES: Mapping[int, str] = {
    errno.EMFILE: "allow the process more open files (ulimit -n, LimitNOFILE=)",
    errno.ENFILE: "allow the machine more open files (sysctl fs.file-max)",
    errno.EAGAIN: "allow the process more processes and threads (ulimit -u, TasksMax=, pids.max of its cgroup)",
    errno.ENOMEM: "make memory available to the process (ulimit -v, MemoryMax=, its container's limit)",
    errno.ENOSPC: "free space on that file system",
    errno.EDQUOT: "free space in the quota of the user",
    errno.EFBIG: "allow the process larger files (ulimit -f, LimitFSIZE=)",
    errno.EROFS: "make that file system writable",
    errno.EIO: "check the disk",
}
PHRASES = {
    "can't start new thread": errno.EAGAIN,
    "MemoryError": errno.ENOMEM,
    "failed to map segment from shared object": errno.ENOMEM,
}
PHRASES |= {os.strerror(number): number for number in (errno.ENFILE, *REMEDIES)}  # it contains the text of EMFILE
NO_MEANS = "find out what forbids it: a seccomp profile, a security module, the container"


def remedy_of(error: Exception | str, otherwise: str) -> str:
    """Return the remedy for an error; `otherwise`, unless it reports an exhausted resource.

    Errors of libraries have only a text, no number.
    """
    number = getattr(error, "errno", None)
    if number is None:
        text = f"{type(error).__name__}: {error}"
        number = next((number for phrase, number in PHRASES.items() if phrase in text), None)
    return REMEDIES.get(number or 0, otherwise)


def reason(error: Exception) -> str:
    """Describe why a system call failed, and for which file."""
    why = getattr(error, "strerror", None) or str(error) or type(error).__name__
    name = getattr(error, "filename", None)
    return why if name is None else f"{os.fsdecode(name)}: {why}" if isinstance(name, (str, bytes)) else why


@contextmanager
def attempt(what: str, otherwise: str = NO_MEANS) -> Iterator[None]:
    """Raise ExporterError for each error of the system in the block: `what` cannot be done, why, and what to do."""
    try:
        yield
    except (OSError, MemoryError) as error:
        raise ExporterError(f"cannot {what} ({reason(error)})", remedy_of(error, otherwise)) from error
    except RuntimeError as error:
        if not remedy_of(error, ""):
            raise
        raise ExporterError(f"cannot {what} ({error})", remedy_of(error, otherwise)) from error
