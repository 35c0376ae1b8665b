"""The errors of execve(2) and execveat(2), by name."""

from __future__ import annotations

import errno

# The documented errors: their series exist from the first scrape on.
ERRORS = (
    "E2BIG",
    "EACCES",
    "EAGAIN",
    "EBADF",
    "EFAULT",
    "EINVAL",
    "EIO",
    "EISDIR",
    "ELIBBAD",
    "ELOOP",
    "EMFILE",
    "ENAMETOOLONG",
    "ENFILE",
    "ENOENT",
    "ENOEXEC",
    "ENOMEM",
    "ENOTDIR",
    "EPERM",
    "ETXTBSY",
)
OTHER = "other"


def name(number: int) -> str:
    """Return the name of an errno; `other` if it has none."""
    return errno.errorcode.get(number, OTHER)
