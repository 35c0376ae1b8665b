"""Dictionaries that track which keys have changed since they were last saved."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, TypeVar

Row = tuple[Hashable, Any]  # a key (number, string or a tuple of them) and its value; None: it was deleted
Changes = dict[str, list[Row]]  # by table
Tables = dict[str, dict[Any, Any]]  # by name, as loaded: tuples among the values have become lists

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class TrackedDict(dict[K, V]):
    """A dictionary that tracks which keys were set or deleted since the last call of `changes`."""

    def __init__(self) -> None:
        super().__init__()
        self._changed: set[K] = set()

    def __setitem__(self, key: K, value: V) -> None:
        super().__setitem__(key, value)
        self._changed.add(key)

    def __delitem__(self, key: K) -> None:
        super().__delitem__(key)
        self._changed.add(key)

    def changes(self, *, whole: bool) -> list[tuple[K, V | None]]:
        """Return the changed keys, or with `whole` all keys, and their values; None for deleted ones."""
        changed, self._changed = self._changed, set()
        return [(key, self.get(key)) for key in (self if whole else changed)]
