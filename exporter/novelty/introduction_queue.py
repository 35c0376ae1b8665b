"""Introductions on their way to novelty: a queue that never makes the counting wait."""

from __future__ import annotations

import threading
from collections import deque
from typing import NamedTuple

from exporter.events.decode import ExecKey, Introduction

LIMIT = 8192
MISSED_LIMIT = 1 << 16


class Item(NamedTuple):
    """A key that was introduced, by the how manieth record."""

    raw: bytes
    key: ExecKey
    introduction: Introduction
    number: int = 0


class Inbox:
    """A bounded queue. Of what does not fit the key is kept, and taken up when there is room: `deferred` counts."""

    def __init__(self, limit: int = LIMIT, missed_limit: int = MISSED_LIMIT) -> None:
        self._limit, self._missed_limit = limit, missed_limit
        self._items: deque[Item] = deque()
        self._missed: dict[bytes, None] = {}
        self._changed = threading.Condition()
        self._closed = False
        self.deferred = 0

    def put(self, item: Item) -> None:
        """Adds an item. Never waits for who takes it."""
        with self._changed:
            if len(self._items) < self._limit:
                self._items.append(item)
                self._changed.notify()
                return
            self.deferred += 1
        self.miss([item.raw])

    def miss(self, keys: list[bytes]) -> None:
        """Keeps keys that have to be looked at without an introduction. Those beyond the limit are met again later."""
        with self._changed:
            for key in keys:
                if len(self._missed) < self._missed_limit:
                    self._missed[key] = None

    def take(self, count: int, timeout_seconds: float) -> list[Item]:
        """Up to `count` items, the oldest first; waits for the first one."""
        with self._changed:
            if not self._items and not self._closed and timeout_seconds > 0:
                self._changed.wait(timeout_seconds)
            return [self._items.popleft() for _ in range(min(count, len(self._items)))]

    def take_missed(self, count: int) -> list[bytes]:
        """Up to `count` of the keys without an introduction, once there are no items."""
        with self._changed:
            if self._items:
                return []
            return [self._missed.popitem()[0] for _ in range(min(count, len(self._missed)))]

    @property
    def first(self) -> int | None:
        """The number of the oldest item; None: there is none."""
        with self._changed:
            return self._items[0].number if self._items else None

    def close(self) -> None:
        """Ends all waiting."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def __len__(self) -> int:
        return len(self._items)
