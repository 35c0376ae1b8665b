"""Novelty as the options configure it: opened before the probe is loaded, started after it is attached."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from exporter.catalogue.accepted_file import AcceptedFile
from exporter.catalogue.learning import Learning
from exporter.catalogue.recovery import RecoveringCatalogue
from exporter.collectors.flags import SeriesOptions
from exporter.collectors.novelty import novelty_families, novelty_off
from exporter.compiler.kernel_types import Feature
from exporter.events.decode import ExecKey, Introduction
from exporter.events.event_fields import lacks_cgroup, not_asked, unavailable
from exporter.events.event_json import as_json, bounded
from exporter.events.labels import Labels
from exporter.host.capabilities import CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE
from exporter.host.clocks import boot_time_ns
from exporter.host.dpkg import Dpkg
from exporter.host.interruption import Interruption
from exporter.host.packages import Packages
from exporter.host.rpm import Rpm
from exporter.metrics.family import AnyFamily
from exporter.metrics.path_rules import fold_builds
from exporter.novelty.baseline import Baseline
from exporter.novelty.detector import Bounds, Detector, Introductions
from exporter.novelty.file_content import Reader
from exporter.novelty.hashing import Hasher, Throttle
from exporter.novelty.worker import Worker
from exporter.probe.record_queue import RecordQueue
from exporter.service.options import Options


class NoveltySetup:
    """Detect novel binaries, unless the options disable it.

    Raise ExporterError if the accepted file is wrong, or the catalogue is of a newer exporter or used by another one. A
    catalogue that cannot be used is retried.
    """

    def __init__(self, options: Options) -> None:
        self._options, self._record = options.novelty, options.record
        self._series: Callable[[], SeriesOptions] = SeriesOptions
        self._map_entries = options.probe.map_entries
        self.accepted_file = AcceptedFile(options.novelty.accepted_file)
        path = options.novelty.catalogue_path
        self.enabled = bool(path) and "novelty" in options.collectors and not options.output.once
        self._recovering = RecoveringCatalogue(Path(path)) if self.enabled else None
        self._worker: Worker | None = None

    @property
    def hash_key(self) -> bytes:
        """Key of the probe's path hashes, stored in the catalogue: the keys of the probe's maps depend on it."""
        return self._recovering.hash_key if self._recovering else b""

    @property
    def capabilities(self) -> frozenset[int]:
        """Capabilities needed to read the programs of all users."""
        reads = self.enabled and self._options.content_hash
        return frozenset({CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE}) if reads else frozenset()

    def labels(self) -> Mapping[bytes, Labels]:
        """Return the labels of the keys in the catalogue, the newest."""
        catalogue = self._recovering and self._recovering.catalogue
        return catalogue.labels(self._map_entries) if catalogue else {}

    def written(self) -> Mapping[bytes, bool]:
        """Return the verdicts in the catalogue on files that were copied up, by key."""
        catalogue = self._recovering and self._recovering.catalogue
        return catalogue.written() if catalogue else {}

    def start(
        self,
        queue: RecordQueue,
        introductions: Introductions,
        missing: Iterable[Feature],
        series: Callable[[], SeriesOptions] = SeriesOptions,
    ) -> None:
        """Start to detect, if enabled.

        `missing` are the features that this kernel lacks, `series` returns the options that are in force.
        """
        self._series = series
        if self._recovering:
            interruption = Interruption()
            options, reader = self._options, self._reader(interruption)
            detector = Detector(
                introductions,
                self._as_json(missing),
                reader,
                Baseline(
                    Learning(options.learning_seconds),
                    reader,
                    trust_packages=options.learning_packages,
                    fold=lambda path: self._series().path_rules.fold(path),
                    fold_builds=fold_builds,
                ),
                self.accepted_file,
                Bounds(options.catalogue_entries, options.catalogue_bytes, options.findings_series),
            )
            self._worker = Worker(detector, self._recovering, queue, interruption)
            self._worker.start()

    def _reader(self, interruption: Interruption) -> Reader:
        options = self._options
        rootfs = Path(options.rootfs)
        packages = Packages((Dpkg(rootfs), Rpm(rootfs, interruption=interruption)))
        throttle = Throttle(options.content_rate, sleep=interruption.sleep)
        hasher = Hasher(options.content_bytes, throttle) if options.content_hash else None
        return Reader(options.rootfs, hasher, packages, interruption)

    def _as_json(self, missing: Iterable[Feature]) -> Callable[[ExecKey, Introduction], dict[str, Any]]:
        """Return a function from introductions to JSON, which gives the reason for each argument that is missing."""
        argv_bytes, env = self._record.argv_bytes, self._record.env
        lacking = {**not_asked(argv_bytes, env), **unavailable(missing), **lacks_cgroup()}

        def convert(key: ExecKey, introduction: Introduction) -> dict[str, Any]:
            return bounded(as_json(key, introduction, lacking, boot_time_ns=boot_time_ns(), env=env))

        return convert

    def collect(self) -> Iterable[AnyFamily]:
        """Return the metrics of novel binaries."""
        return novelty_families(self._worker.snapshot, self._series().shown) if self._worker else novelty_off()

    def close(self) -> None:
        """Judge the records in the queue and close the catalogue."""
        if self._worker:
            self._worker.close()
        elif self._recovering:
            self._recovering.close()
