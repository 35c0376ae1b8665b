"""What --web.config.file says now: read again when it or a file that it names has changed."""

from __future__ import annotations

import logging
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exporter.errors import USAGE, ExporterError
from exporter.web.config import WebConfig, WebConfigError, read
from exporter.web.tls import context

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Web:
    """A configuration, and the TLS context made of it, if it asks for TLS."""

    config: WebConfig = field(default_factory=WebConfig)
    context: ssl.SSLContext | None = None


class WebFile:
    """The file, or none; asked at each connection and request.

    What was good last stays until the next good one. Raises ExporterError if it is not good to begin with.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._web = Web()
        self.failed_reloads = 0
        if path:
            try:
                self._web = _load(path)
            except WebConfigError as error:
                raise ExporterError(f"--web.config.file={path}", str(error), status=USAGE) from error
        self._seen = self._state()

    def current(self) -> Web:
        """The configuration now. What is wrong with a changed file is logged once."""
        state = self._state()
        if self._path and state != self._seen:
            self._seen = state
            try:
                self._web = self._changed(_load(self._path))
                log.info("%s has changed and is in force", self._path)
            except WebConfigError as error:
                self.failed_reloads += 1
                log.error("%s has changed and the last good state stays in force: %s", self._path, error)
            self._seen = self._state()  # it may name other files now
        return self._web

    def _changed(self, web: Web) -> Web:
        if (web.context is None) != (self._web.context is None):
            raise WebConfigError("TLS can be turned on or off by a restart only")
        return web

    def _state(self) -> tuple[Any, ...]:
        """What tells a changed file; renamed, rewritten and mounted anew alike."""
        return tuple(map(_identity, (self._path, *self._web.config.tls.files))) if self._path else ()


def _load(path: Path) -> Web:
    config = read(path)
    return Web(config, context(config))


def _identity(path: Path) -> tuple[int, ...] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


class ReloadingContext(ssl.SSLContext):
    """Gives each new connection the TLS context of the file as it is then."""

    _file: WebFile

    @classmethod
    def of(cls, file: WebFile) -> ReloadingContext:
        """A context that stands for those of `file`."""
        made = cls(ssl.PROTOCOL_TLS_SERVER)
        made._file = file
        return made

    def wrap_socket(self, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        """A server's end of TLS with the context of now."""
        now = self._file.current().context
        assert now is not None  # noqa: S101 - a file that turns TLS off is refused
        return now.wrap_socket(*args, **kwargs)
