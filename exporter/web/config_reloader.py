"""The file of --web.config.file in force, reloaded when it or a file that it names changes."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exporter.config.reloaded_file import ReloadedFile
from exporter.config.yaml_file import YAMLFileError
from exporter.web.config import WebConfig, read
from exporter.web.tls import context


@dataclass(frozen=True)
class Web:
    """A configuration and its TLS context; None without TLS."""

    config: WebConfig = field(default_factory=WebConfig)
    context: ssl.SSLContext | None = None


class WebFile(ReloadedFile[Web]):
    """The file of --web.config.file, checked for changes on each connection and request."""

    name = "web.config.file"

    def __init__(self, path: Path | None) -> None:
        super().__init__(path, Web())

    def load(self, path: Path, before: Web | None) -> Web:
        """Return the configuration. Raise YAMLFileError, also if it turns TLS on or off while running."""
        config = read(path)
        web = Web(config, context(config))
        if before and (web.context is None) != (before.context is None):
            raise YAMLFileError("TLS can be turned on or off by a restart only")
        return web

    def named(self) -> tuple[Path, ...]:
        """Return the files of certificates and keys."""
        return self.value.config.tls.files

    def current(self) -> Web:
        """Return the configuration in force, reloaded if it has changed."""
        self.reload()
        return self.value


class ReloadingContext(ssl.SSLContext):
    """A TLS context that gives each new connection the context in force."""

    _file: WebFile

    @classmethod
    def of(cls, file: WebFile) -> ReloadingContext:
        """Return a context that stands for those of `file`."""
        made = cls(ssl.PROTOCOL_TLS_SERVER)
        made._file = file
        return made

    def wrap_socket(self, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        """Return the server's end of TLS, with the context in force."""
        now = self._file.current().context
        assert now is not None  # noqa: S101 - a file that turns TLS off is refused
        return now.wrap_socket(*args, **kwargs)
