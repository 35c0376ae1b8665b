"""Functions of the C library that Python does not offer."""

from __future__ import annotations

import ctypes
import gc
import os

_libc = ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: object) -> int:
    """Call a function that returns a negative number if it fails. Raise OSError from errno."""
    result = int(getattr(_libc, name)(*arguments))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def trim_heap() -> None:
    """Return free memory to the kernel."""
    gc.collect()
    call("malloc_trim", 0)
