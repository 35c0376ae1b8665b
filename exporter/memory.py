"""Gives back the memory that compiling took: BCC is LLVM, 100 MB that nobody needs once the probe is attached."""

from __future__ import annotations

import ctypes
import gc
import mmap
import re
from collections.abc import Iterator
from pathlib import Path

COMPILER = re.compile(r"/lib(LLVM|clang|bcc)[^/]*$")
MADV_DONTNEED, MADV_PAGEOUT = mmap.MADV_DONTNEED, 21  # Linux 5.4

_libc = ctypes.CDLL(None, use_errno=True)
_libc.madvise.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int


def give_back() -> None:
    """Returns free memory of the heap and the pages of the compiler to the kernel. Whatever is used again comes back.

    Paging out takes the compiler's text from the page cache too, which counts against a container's limit, but the
    kernel does so only for files that this process could write. The others are at least unmapped.
    """
    gc.collect()
    _libc.malloc_trim(0)
    for start, end, anonymous in _mappings(Path("/proc/self/smaps").read_text("utf-8", "surrogateescape")):
        _libc.madvise(start, end - start, MADV_PAGEOUT)
        if not anonymous:  # nothing was written there, so nothing but pages of the file is let go
            _libc.madvise(start, end - start, MADV_DONTNEED)


def _mappings(smaps: str) -> Iterator[tuple[int, int, bool]]:
    """Start, end and whether it has pages that are in no file, of each mapping of the compiler."""
    for entry in re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", smaps, flags=re.MULTILINE):
        head, _, rest = entry.partition("\n")
        anonymous = re.search(r"^Anonymous: +([0-9]+)", rest, re.MULTILINE)
        if COMPILER.search(head) and anonymous:
            start, _, end = head.split()[0].partition("-")
            yield int(start, 16), int(end, 16), anonymous[1] != "0"
