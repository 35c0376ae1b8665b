"""Verdicts on files that an overlay copied up from the layer below: written to, or still with the image's content."""

from __future__ import annotations

from collections.abc import Mapping

from exporter.events.decode import DecodeError, Decoder, Identity

FILES = 10_000


class CopiedUp:
    """Verdicts by file: True if it was written to since it was copied up.

    Novelty's thread judges, and others ask: each operation is one of a dict. The oldest of very many are forgotten.
    """

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._written: dict[Identity | None, bool] = {}

    def preload(self, known: Mapping[bytes, bool]) -> None:
        """Add verdicts of an earlier process, by key."""
        for key, written in known.items():
            self.judge(key, written=written)

    def judge(self, key: bytes, *, written: bool) -> None:
        """Set the verdict on the file of a key. Those of older probes are not executed again: they need none."""
        file = self._file(key)
        if file is None:
            return
        while len(self._written) >= FILES:
            self._written.pop(next(iter(self._written)), None)
        self._written[file] = written

    def written(self, key: bytes) -> bool | None:
        """Return the verdict on the file of a key; None if there is none."""
        return self._written.get(self._file(key))

    def _file(self, key: bytes) -> Identity | None:
        try:
            return self._decoder.identities(key)[0]
        except DecodeError:
            return None
