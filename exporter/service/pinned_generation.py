"""One pinned probe: its maps, its programs, and the description by which another process can take it over."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import zlib
from pathlib import Path
from typing import Any

from exporter import compiler
from exporter.compiler.description import compiled_from, describe
from exporter.kernel import bpf_syscall
from exporter.kernel.blob_map import BlobMap
from exporter.kernel.bpf_map import ARRAY, Map
from exporter.kernel.bpffs import MAKING, Pins
from exporter.metrics.checkpoint import FORMAT
from exporter.probe import features
from exporter.probe.bpf_object import BPFObject
from exporter.probe.exec_header import BPF_DIRECTORY
from exporter.probe.features import FEATURES
from exporter.probe.program import ATTACHED, PROGRAM, Loaded, ProbeSettings, constants, definitions

CHECKPOINT, DESCRIPTION, INTAKE = "checkpoint", "description", "intake"  # pins; the last is the map of the queue
GONE = "gone-"  # prefix of a directory that is being removed
COMPILER = Path(compiler.__file__).parent


class DamagedError(Exception):
    """The pins are not those of a generation."""


def digest(source: str, settings: ProbeSettings) -> str:
    """Return a digest of everything that a probe is made from and attached to: equal digests, equal probes.

    To digest the instructions themselves, they would have to be compiled first.
    """
    found = hashlib.sha256(source.encode())
    for path in sorted((*BPF_DIRECTORY.glob("*.[ch]"), *COMPILER.glob("*.py"), Path(features.__file__))):
        found.update(path.read_bytes())
    choices = sorted(settings.without), settings.typed_loads, sorted(settings.collect.intersection(ATTACHED))
    found.update(repr((sorted(definitions(settings).items()), choices)).encode())
    return found.hexdigest()


class Generation:
    """The directory of a generation among the pins. Methods raise OSError."""

    def __init__(self, pins: Pins, number: int) -> None:
        self._pins, self.number = pins, number

    def write(self, loaded: Loaded, intake: BlobMap) -> None:
        """Pin a probe and the map of its record queue, entirely or not at all."""
        making = f"{MAKING}{self.number}"
        self._pins.remove(making)
        self._pins.make_directory(making)
        description = description_map(_describe(loaded))
        everything = {
            DESCRIPTION: description.fd,
            INTAKE: intake.map.fd,
            **{f"map_{name}": one.fd for name, one in loaded.bpf.maps.items()},
            **{f"program_{name}": descriptor for name, descriptor in loaded.bpf.programs.items()},
        }
        for name, descriptor in everything.items():
            self._pins.pin(f"{making}/{name}", descriptor)
        os.close(description.fd)
        intake.close()
        self._pins.rename(making, str(self.number))

    def open(self) -> Loaded:
        """Return the pinned probe. Raise DamagedError."""
        described = self.description()
        try:
            if described["format"] != FORMAT:
                raise DamagedError(f"generation {self.number} is of format {described['format']}")
            compiled = compiled_from(described, FEATURES)
        except (ValueError, KeyError, TypeError) as error:
            raise DamagedError(f"the description of generation {self.number} cannot be read") from error
        maps = {name: Map.of(self._get(f"map_{name}")) for name in compiled.maps}
        for name, one in maps.items():
            wanted = compiled.maps[name].info
            if bpf_syscall.map_info(one.fd)._replace(id=0) != wanted._replace(id=0):
                raise DamagedError(f"map {name} of generation {self.number} differs from its description")
        names = [name.removeprefix("program_") for name in self._pins.names(f"{self.number}") if name[:8] == "program_"]
        if PROGRAM not in names:
            raise DamagedError(f"generation {self.number} has no program {PROGRAM}")
        programs = {name: self._get(f"program_{name}") for name in names}
        hash_key = base64.b64decode(described["hash_key"])
        bpf = BPFObject(compiled, maps, programs, constants=constants(hash_key))
        return Loaded(compiled, bpf, hash_key, described["digest"], frozenset(described["collect"]))

    def description(self) -> dict[str, Any]:
        """Return the pinned description. Raise DamagedError."""
        pinned = Map.of(self._get(DESCRIPTION))
        try:
            return {**json.loads(zlib.decompress(pinned.at(0)[0]))}
        except (ValueError, TypeError, zlib.error) as error:
            raise DamagedError(f"the description of generation {self.number} cannot be read") from error
        finally:
            os.close(pinned.fd)

    @property
    def format(self) -> int:
        """Format of the description, which had none in format 1. Raise DamagedError."""
        found = self.description().get("format", 1)
        if not isinstance(found, int) or found < 1:
            raise DamagedError(f"generation {self.number} is of format {found}")
        return found

    def intake(self) -> BlobMap:
        """Return the map of its record queue."""
        return BlobMap(Map.of(self._get(INTAKE)))

    def remove(self) -> None:
        """Remove its pins."""
        self._pins.rename(str(self.number), f"{GONE}{self.number}")
        self._pins.remove(f"{GONE}{self.number}")

    def _get(self, name: str) -> int:
        return self._pins.get(f"{self.number}/{name}")


def description_map(described: dict[str, Any]) -> Map:
    """Return a new map that holds a description. Raise OSError."""
    text = zlib.compress(json.dumps(described).encode("ascii"))
    made = Map.create(ARRAY, 4, len(text), 1, name=DESCRIPTION)
    made.set(0, text)
    return made


def _describe(loaded: Loaded) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "digest": loaded.digest,
        "collect": sorted(loaded.collect),
        "hash_key": base64.b64encode(loaded.hash_key).decode(),
        **describe(loaded.compiled),
    }
