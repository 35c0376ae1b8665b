"""Tables that are kept beyond the process, and what has changed in them since they were last saved."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, TypeVar

Row = tuple[Hashable, Any]  # a key, a number, a string or a tuple of them, and what it has; None: nothing any more
Changes = dict[str, list[Row]]  # by table
Tables = dict[str, dict[Any, Any]]  # by name, as they come back: tuples among the values are lists

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class TrackedDict(dict[K, V]):
    """A dictionary that knows which keys were set or deleted since `changes` was last asked for."""

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
        """What has become of the keys that have changed, or of all that there are."""
        changed, self._changed = self._changed, set()
        return [(key, self.get(key)) for key in (self if whole else changed)]
