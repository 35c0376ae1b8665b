"""The kernel's BPF ring buffer, read through libbpf."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable

from exporter.kernel.libbpf import Sample, libbpf


class RingBuffer:
    """The records of a map of this type. Raise OSError.

    Any thread may consume and close; a lock keeps them apart.
    """

    def __init__(self, descriptor: int) -> None:
        def receive(_context: int, data: int, size: int) -> int:
            self._take(ctypes.string_at(data, size))
            return 0

        self._receive = Sample(receive)  # called from C as long as this object lives
        self._ring = libbpf().ring_buffer__new(descriptor, self._receive, None, None)
        if not self._ring:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        self._lock = threading.Lock()
        self._take: Callable[[bytes], object]

    def consume(self, take: Callable[[bytes], object]) -> None:
        """Pass each record that has arrived to `take`, which must not raise; do nothing once the ring is closed.

        A record leaves the ring afterwards: if the process is killed, the next one may see it again.
        """
        with self._lock:
            self._take = take
            if self._ring:
                libbpf().ring_buffer__consume(self._ring)

    def close(self) -> None:
        """Free the memory. Another thread may still be about to consume."""
        with self._lock:
            if self._ring:
                libbpf().ring_buffer__free(self._ring)
                self._ring = None
