"""Collector of the configuration files that are reloaded; always on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from exporter.config.reloaded_file import Reloaded
from exporter.metrics import definitions
from exporter.metrics.family import RowFamily


def config_files(files: Iterable[Reloaded]) -> Iterator[RowFamily]:
    """Yield the result of the last reload of each file that is configured."""
    yield RowFamily(definitions.CONFIG_RELOADED, {(file.name,): int(file.successful) for file in files if file.path})
