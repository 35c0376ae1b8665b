"""Novelty as the options ask for it: what has to be there before the probe, what begins after it, and what ends it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from exporter.catalogue.accepted_file import AcceptedFile
from exporter.catalogue.learning import Learning
from exporter.catalogue.recovery import RecoveringCatalogue
from exporter.collectors.novelty import NoveltyCollector, novelty_off
from exporter.compiler.kernel_types import Feature
from exporter.events.decode import Decoder, ExecKey, Introduction
from exporter.events.event_arguments import lacks_cgroup, not_asked, unavailable
from exporter.events.event_json import as_json
from exporter.events.names import Names
from exporter.host.capabilities import CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE
from exporter.host.dpkg import Dpkg
from exporter.host.packages import Packages
from exporter.host.rpm import Rpm
from exporter.metrics.family import AnyFamily
from exporter.novelty.detector import Novelty
from exporter.novelty.file_content import Reader
from exporter.novelty.hashing import Limits
from exporter.service.options import Options


class NoveltySetup:
    """Finds novel binaries, or, if the options switch that off, says that it does not. Raises ExporterError."""

    def __init__(self, options: Options) -> None:
        self._options, self._record = options.novelty, options.record
        self._known = options.probe.map_entries
        self.accepted_file = AcceptedFile(options.novelty.accepted_file)
        path = options.novelty.catalogue_path
        on = path and "novelty" in options.collectors and not options.output.once
        self._recovering = RecoveringCatalogue(Path(path)) if on else None
        self._novelty: Novelty | None = None

    @property
    def hash_key(self) -> bytes:
        """The key of the probe's path hashes: what keys of the map mean depends on it, and is kept."""
        return self._recovering.hash_key if self._recovering else b""

    @property
    def capabilities(self) -> frozenset[int]:
        """What it needs to see the programs of all users."""
        reads = self._recovering and self._options.content_hash
        return frozenset({CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE}) if reads else frozenset()

    def start(self, names: Names, decoder: Decoder, missing: Iterable[Feature]) -> None:
        """Begins to look at what the catalogue is told. `missing` is what this kernel lacks."""
        if self._recovering is None:
            names.observe(None)
            return
        options, record_options = self._options, self._record
        packages = Packages((Dpkg(Path(options.rootfs)), Rpm(Path(options.rootfs))))
        limits = Limits(options.content_bytes, options.content_rate) if options.content_hash else None
        lacking = {**not_asked(record_options.argv_bytes, record_options.env), **unavailable(missing), **lacks_cgroup()}

        def record(key: ExecKey, introduction: Introduction) -> dict[str, Any]:
            boot = time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
            return as_json(key, introduction, lacking, boot_time_ns=boot, env=record_options.env)

        self._novelty = Novelty(
            self._recovering,
            names,
            decoder,
            Reader(options.rootfs, limits, packages),
            Learning(options.learning_seconds),
            self.accepted_file,
            record,
            options.catalogue_entries,
            options.findings_series,
            options.learning_packages,
        )
        if self._recovering.catalogue:
            names.preload(self._recovering.catalogue.meanings(self._known))
        names.observe(self._novelty.observe)
        self._novelty.start()

    @property
    def judged(self) -> int | None:
        """Of the records in the order in which they came, how many need not be kept; None: none need be."""
        return self._novelty.judged if self._novelty else None

    def collect(self) -> Iterable[AnyFamily]:
        """The metrics of novel binaries."""
        novelty = self._novelty
        return NoveltyCollector(lambda: novelty.view).collect() if novelty else novelty_off()

    def close(self) -> None:
        """Writes down what has been seen, and ends."""
        if self._novelty:
            self._novelty.close()
        elif self._recovering:
            self._recovering.close()
