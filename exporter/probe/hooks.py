"""A hook beside the tracepoint: the first candidate that attaches and fires."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from exporter.kernel.symbols import HookError

# What attaches a hook: it gives the descriptors that keep it attached, or raises HookError or OSError.
Attach = Callable[[], Sequence[int]]


@dataclass(frozen=True)
class Hook:
    """The hook that was chosen: its kind, empty if there is none, why others were not, and what keeps it attached."""

    kind: str = ""
    refused: tuple[str, ...] = ()
    links: Sequence[int] = ()

    def detach(self) -> None:
        """Closes the descriptors that keep it attached."""
        for link in self.links:
            os.close(link)


def choose(candidates: Iterable[tuple[str, Attach]], fires: Callable[[], bool]) -> Hook:
    """The first of the candidates, by kind, that attaches and then fires."""
    refused: list[str] = []
    for kind, attach in candidates:
        try:
            hook = Hook(kind, tuple(refused), attach())
        except OSError as error:
            refused.append(f"{kind}: {error.strerror}")
            continue
        except HookError as error:
            refused.append(f"{kind}: {error}")
            continue
        if fires():
            return hook
        hook.detach()
        refused.append(f"{kind}: attached and never fired")
    return Hook(refused=tuple(refused))


def attach_all(attaches: Iterable[Callable[[], int]]) -> list[int]:
    """The descriptors of all of them or, where one cannot be attached, none."""
    links: list[int] = []
    try:
        for attach in attaches:
            links.append(attach())
    except (OSError, HookError):
        Hook(links=links).detach()
        raise
    return links
