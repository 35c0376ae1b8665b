"""Conversion of what the exporter has pinned in an older format: a step for each, to the next one.

A crash in a step is repaired by the next start, which repeats it: what is done already does not change again.

In format 1 the checkpoint's pin is called `ledger`, the map of exits `lives`, and descriptions have no format. The pin
is renamed last.
"""

from __future__ import annotations

import os
from typing import Any

from exporter.kernel.blob_map import BlobMap
from exporter.kernel.bpf_map import Map
from exporter.kernel.bpffs import Pins
from exporter.metrics.checkpoint import FORMAT, Checkpoint, check_format
from exporter.service.pinned_generation import (
    CHECKPOINT,
    DESCRIPTION,
    DamagedError,
    Generation,
    description_map,
)

LEDGER = "ledger"
NEW_NAMES = {"lives": "exits"}  # of maps
WRITING = f"{DESCRIPTION}-new"


def upgrade(pins: Pins) -> None:
    """Convert what is pinned to FORMAT.

    Raise ExporterError for pins of a newer format, which stay, and OSError, DamagedError, LookupError, and ValueError.
    """
    for step in STEPS[_format(pins) - 1 :]:
        step(pins)


def _format(pins: Pins) -> int:
    """Return the format of the pins: the oldest of all generations. Raise ExporterError for a newer one."""
    formats = [Generation(pins, number).format for number in pins.generations()]
    check_format(max(formats, default=FORMAT), f"what is pinned in {pins.path}")
    return 1 if LEDGER in pins.names() else min(formats, default=FORMAT)


def _from_1(pins: Pins) -> None:
    _convert_checkpoint(Checkpoint(BlobMap(Map.of(pins.get(LEDGER)))))
    for number in pins.generations():
        _convert_description(pins, number)
        _rename_maps(pins, number)
    pins.rename(LEDGER, CHECKPOINT)


STEPS = (_from_1,)  # from format 1 to 2, and so on


def _convert_checkpoint(checkpoint: Checkpoint) -> None:
    """Rename maps in the tables that record the maps of the counts, in one step, as every save."""
    saved = checkpoint.load()
    if saved:
        parts = {part: {name: [*rows.items()] for name, rows in tables.items()} for part, tables in saved.items()}
        for tables in parts.values():
            if "map" in tables:
                tables["map"] = [(NEW_NAMES.get(name, name), number) for name, number in tables["map"]]
        if not checkpoint.save(lambda _: parts):
            raise DamagedError("the checkpoint has no room")
    checkpoint.close()


def _convert_description(pins: Pins, number: int) -> None:
    """Replace a description by one with the new names and the format, in one step."""
    described = Generation(pins, number).description()
    if "format" in described:
        return
    maps: dict[str, Any] = {NEW_NAMES.get(name, name): one for name, one in described["maps"].items()}
    numbers = {key: NEW_NAMES.get(name, name) for key, name in described["numbers"].items()}
    new = description_map({**described, "format": FORMAT, "maps": maps, "numbers": numbers})
    pins.remove(f"{number}/{WRITING}")
    pins.pin(f"{number}/{WRITING}", new.fd)
    os.close(new.fd)
    pins.rename(f"{number}/{WRITING}", f"{number}/{DESCRIPTION}")


def _rename_maps(pins: Pins, number: int) -> None:
    for old, new in NEW_NAMES.items():
        if f"map_{old}" in pins.names(f"{number}"):
            pins.rename(f"{number}/map_{old}", f"{number}/map_{new}")
