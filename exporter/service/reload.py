"""Reload the configuration without a restart: on SIGHUP, and on POST /-/reload."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from exporter.collectors.pipeline import Pipeline
from exporter.config.reloaded_file import Reloaded, ReloadedFile
from exporter.config.resolve import CONFIG_FILE
from exporter.errors import ExporterError
from exporter.logs import set_level
from exporter.service.options import Options, parse

log = logging.getLogger(__name__)

RELOADED = frozenset({"--series.limit", "--series.idle", "--log.level"})  # and path rules, which have no flag


class Reload(Reloaded):
    """Puts the configuration file into force again. Any thread may call it.

    `files` are reloaded by their own threads when they change, within a second: here they are only checked.
    """

    name = CONFIG_FILE

    def __init__(self, options: Options, pipeline: Pipeline, files: Sequence[ReloadedFile[Any]]) -> None:
        self.path, self.successful = options.service.config_file, True
        self._options, self._pipeline, self._files = options, pipeline, files
        self._lock = threading.Lock()

    def __call__(self) -> str:
        """Reload, and return an empty string; if a file is invalid, change nothing and return why. Log either."""
        with self._lock:
            try:
                options = parse(list(self._options.arguments))
                self.successful = True
            except ExporterError as error:
                self.successful = False
                return _refused(error)
            for file in self._files:
                if refusal := file.refusal():
                    return _refused(refusal)
            self._pipeline.reconfigure(options.series)
            set_level(options.service.log_level)
        later = ", ".join(changed(self._options, options))
        log.info("reloaded the configuration%s", f"; only a restart changes {later}" if later else "")
        return ""


def _refused(error: ExporterError) -> str:
    log.error("reload failed, the last good configuration stays in force: %s", error)
    return str(error)


def changed(before: Options, after: Options) -> Iterator[str]:
    """Yield the flags with another value that is not put into force while the exporter runs."""
    yield from (f"--collector.{name}" for name in sorted(before.collectors ^ after.collectors))
    for room in fields(Options):
        old, new = getattr(before, room.name), getattr(after, room.name)
        for one in fields(old) if is_dataclass(old) else ():
            flag = one.metadata.get("flag")
            if flag and flag not in RELOADED and getattr(old, one.name) != getattr(new, one.name):
                yield flag
