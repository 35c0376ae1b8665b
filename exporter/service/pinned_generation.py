"""One probe, pinned: its maps, its programs, and the description by which another process can take it over."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import zlib
from pathlib import Path
from typing import Any

from exporter import compiler
from exporter.compiler.compile import Compiled, CompiledMap
from exporter.compiler.kernel_facts import KernelFacts
from exporter.kernel import bpf_syscall
from exporter.kernel.blob_map import BlobMap
from exporter.kernel.bpf_map import ARRAY, Map
from exporter.kernel.bpf_syscall import MapInfo
from exporter.kernel.bpffs import Pins
from exporter.probe import features
from exporter.probe.bpf_object import BPFObject
from exporter.probe.exec_header import BPF_DIRECTORY
from exporter.probe.features import FEATURES
from exporter.probe.program import PROGRAM, Loaded, ProbeSettings, definitions

# What a probe is made from besides its source, the table of features and its settings.
COMPILER = Path(compiler.__file__).parent


# Of a directory that is not whole: not yet, or not any more.
MAKING, GONE = "making-", "gone-"


class DamagedError(Exception):
    """What is pinned is not what a generation consists of."""


def digest(source: str, settings: ProbeSettings) -> str:
    """Stands for everything that decides what the program and its maps are; the same text, the same probe.

    Of the instructions themselves it cannot be made: to have them, they would have to be compiled.
    """
    found = hashlib.sha256(source.encode())
    for path in sorted((*BPF_DIRECTORY.glob("*.[ch]"), *COMPILER.glob("*.py"), Path(features.__file__))):
        found.update(path.read_bytes())
    choices = sorted(settings.without), settings.typed_loads
    found.update(repr((sorted(definitions(settings, b"").items()), choices)).encode())
    return found.hexdigest()


class Generation:
    """The directory of a generation among the pins."""

    def __init__(self, pins: Pins, number: int) -> None:
        self._pins, self.number = pins, number

    def write(self, loaded: Loaded, intake: BlobMap) -> None:
        """Pins a probe, whole or not at all, and where records of it are kept. Raises OSError."""
        making = f"{MAKING}{self.number}"
        self._pins.remove(making)
        self._pins.make_directory(making)
        description = _text_map(_describe(loaded))
        everything = {
            "description": description.fd,
            "intake": intake.map.fd,
            **{f"map_{name}": one.fd for name, one in loaded.bpf.maps.items()},
            **{f"program_{name}": descriptor for name, descriptor in loaded.bpf.programs.items()},
        }
        for name, descriptor in everything.items():
            self._pins.pin(f"{making}/{name}", descriptor)
        os.close(description.fd)
        intake.close()
        self._pins.rename(making, str(self.number))

    def open(self) -> Loaded:
        """The probe that is pinned. Raises DamagedError, or OSError where something is missing."""
        description = Map.of(self._get("description"))
        try:
            told = json.loads(zlib.decompress(description.at(0)[0]))
            compiled = _compiled(told)
        except (ValueError, KeyError, TypeError, zlib.error) as error:
            raise DamagedError(f"the description of generation {self.number} cannot be read") from error
        finally:
            os.close(description.fd)
        maps = {name: Map.of(self._get(f"map_{name}")) for name in compiled.maps}
        for name, one in maps.items():
            wanted = compiled.maps[name].info
            if bpf_syscall.map_info(one.fd)._replace(id=0) != wanted._replace(id=0):
                raise DamagedError(f"map {name} of generation {self.number} is not what its description says")
        names = [name.removeprefix("program_") for name in self._pins.names(f"{self.number}") if name[:8] == "program_"]
        if PROGRAM not in names:
            raise DamagedError(f"generation {self.number} has no program {PROGRAM}")
        programs = {name: self._get(f"program_{name}") for name in names}
        bpf = BPFObject(compiled, maps, programs)
        hash_key = base64.b64decode(told["hash_key"])
        return Loaded(compiled, bpf, hash_key, told["digest"], frozenset(told["collect"]))

    def remove(self) -> None:
        """Removes its pins. Raises OSError."""
        self._pins.rename(str(self.number), f"{GONE}{self.number}")
        self._pins.remove(f"{GONE}{self.number}")

    def _get(self, name: str) -> int:
        return self._pins.get(f"{self.number}/{name}")


def _text_map(text: bytes) -> Map:
    made = Map.create(ARRAY, 4, len(text), 1, name="description")
    made.set(0, text)
    return made


def _describe(loaded: Loaded) -> bytes:
    compiled, kernel = loaded.compiled, loaded.compiled.kernel
    told = {
        "digest": loaded.digest,
        "collect": sorted(loaded.collect),
        "hash_key": base64.b64encode(loaded.hash_key).decode(),
        "programs": {name: base64.b64encode(code).decode() for name, code in compiled.programs.items()},
        "maps": {name: [one.info, one.key, one.value] for name, one in compiled.maps.items()},
        "numbers": compiled.numbers,
        "typed": compiled.typed,
        "bcc_version": compiled.bcc_version,
        "missing": [feature.name for feature in kernel.missing],
        "functions": dict(kernel.functions),
        "tracepoint": kernel.tracepoint,
        "vocabulary": compiled.vocabulary,
    }
    return zlib.compress(json.dumps(told).encode("ascii"))


def _compiled(told: dict[str, Any]) -> Compiled:
    missing = tuple(feature for feature in FEATURES if feature.name in told["missing"])
    return Compiled(
        {name: base64.b64decode(code) for name, code in told["programs"].items()},
        {name: CompiledMap(MapInfo(*info), key, value) for name, (info, key, value) in told["maps"].items()},
        {int(number): name for number, name in told["numbers"].items()},
        told["typed"],
        told["bcc_version"],
        KernelFacts(missing, told["functions"], told["tracepoint"]),
        told["vocabulary"],
    )
