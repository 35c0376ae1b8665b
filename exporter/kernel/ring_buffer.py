"""Reads the kernel's ring buffer, by libbpf: BCC needs it too, so it is there wherever BCC is."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from functools import cache

from exporter.errors import ExporterError

NAMES = ("libbpf.so.1", "libbpf.so.0")

_Sample = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)


@cache
def _libbpf() -> ctypes.CDLL:
    for name in NAMES:
        try:
            lib = ctypes.CDLL(name, use_errno=True)
        except OSError:
            continue
        lib.ring_buffer__new.restype = ctypes.c_void_p
        lib.ring_buffer__new.argtypes = ctypes.c_int, _Sample, ctypes.c_void_p, ctypes.c_void_p
        lib.ring_buffer__consume.argtypes = (ctypes.c_void_p,)
        lib.ring_buffer__free.argtypes = (ctypes.c_void_p,)
        return lib
    raise ExporterError(
        f"libbpf is not installed ({' or '.join(NAMES)})", "install libbpf1 (Debian, Ubuntu) or libbpf (Fedora)"
    )


class RingBuffer:
    """The records of a map of that type, each of which is given to `take`, which must not raise. Raises OSError."""

    def __init__(self, descriptor: int, take: Callable[[bytes], None]) -> None:
        def receive(_context: int, data: int, size: int) -> int:
            take(ctypes.string_at(data, size))
            return 0

        self._receive = _Sample(receive)  # which C calls as long as this object lives
        self._ring = _libbpf().ring_buffer__new(descriptor, self._receive, None, None)
        if not self._ring:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        self._lock = threading.Lock()

    def consume(self) -> None:
        """Takes what has come; nothing, once it is closed. A record is gone from the ring once it was taken."""
        with self._lock:
            if self._ring:
                _libbpf().ring_buffer__consume(self._ring)

    def close(self) -> None:
        """Gives the memory back; somebody may still be about to consume."""
        with self._lock:
            if self._ring:
                _libbpf().ring_buffer__free(self._ring)
                self._ring = None
