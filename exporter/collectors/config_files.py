"""Collector of the configuration files that are reloaded; always on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from exporter.config.reloaded_file import ReloadedFile
from exporter.metrics import definitions
from exporter.metrics.family import AnyFamily


def config_files(files: Iterable[ReloadedFile[Any]]) -> Iterator[AnyFamily]:
    """Yield the result of the last reload of each file that is configured."""
    family = definitions.CONFIG_RELOADED.family()
    for file in files:
        if file.path:
            family.add_metric((file.name,), int(file.successful))
    yield family
