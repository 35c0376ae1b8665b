"""Hooks besides the tracepoint: the first candidate that attaches and fires."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from exporter.kernel.symbols import HookError

# Attaches a hook and returns the descriptors that keep it attached. Raises HookError or OSError.
Attach = Callable[[], Sequence[int]]


@dataclass(frozen=True)
class Hook:
    """A hook: its kind, empty for none, why other kinds were refused, and the descriptors that keep it attached."""

    kind: str = ""
    refused: tuple[str, ...] = ()
    links: Sequence[int] = ()

    def detach(self) -> None:
        """Close the descriptors that keep it attached."""
        for link in self.links:
            os.close(link)


def choose(candidates: Iterable[tuple[str, Attach]], fires: Callable[[], bool]) -> Hook:
    """Return the first candidate that attaches and then fires."""
    refused: list[str] = []
    for kind, attach in candidates:
        try:
            hook = Hook(kind, tuple(refused), attach())
        except (OSError, HookError) as error:
            refused.append(f"{kind}: {getattr(error, 'strerror', error)}")
            continue
        try:
            why = "attached and never fired"
            if fires():
                return hook
        except (OSError, HookError) as error:
            why = f"{getattr(error, 'strerror', error)}"
        hook.detach()
        refused.append(f"{kind}: {why}")
    return Hook(refused=tuple(refused))


def attach_all(attaches: Iterable[Callable[[], int]]) -> list[int]:
    """Attach all and return their descriptors; if one fails, attach none. Raise HookError, OSError."""
    links: list[int] = []
    try:
        for attach in attaches:
            links.append(attach())
    except (OSError, HookError):
        Hook(links=links).detach()
        raise
    return links
