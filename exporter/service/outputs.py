"""Where the exposition goes: to who asks over HTTP, to a file again and again, or out once."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from exporter.errors import ExporterError
from exporter.metrics import textfile
from exporter.metrics.exposition import Exposition
from exporter.metrics.flags import OutputOptions
from exporter.metrics.render import TEXT
from exporter.web.app import Site
from exporter.web.config_reloader import WebFile
from exporter.web.flags import WebOptions
from exporter.web.server import Server
from exporter.web.sockets import listen, name, systemd_sockets


class Output(Protocol):
    """One of the ways out. Made before the probe: what is wrong with it is said first."""

    def start(self, exposition: Exposition, unready: Callable[[], str]) -> str:
        """Begins; returns what it does, for the log. Raises ExporterError."""
        ...

    def wait(self, stop: threading.Event) -> None:
        """Goes on until `stop`, or until there is nothing more to do."""
        ...

    def close(self) -> None:
        """Gives back what it holds."""
        ...


def output(options: OutputOptions, web: WebOptions) -> Output:
    """The output that is asked for. Raises ExporterError."""
    if options.once:
        return Once(options.textfile)
    if options.textfile:
        return Textfile(options.textfile, options.interval_seconds)
    return HTTP(web)


class HTTP:
    """Serves it. Listens from when it is made."""

    def __init__(self, options: WebOptions) -> None:
        self._options = options
        self._web = WebFile(options.config_file)
        self._sockets = systemd_sockets() if options.systemd_socket else listen(options.listen_addresses)
        self._site: Site | None = None
        self._server: Server | None = None

    def start(self, exposition: Exposition, unready: Callable[[], str]) -> str:
        """Begins to answer."""
        options = self._options
        self._site = Site(exposition, self._web, options.telemetry_path, options.max_requests, unready)
        self._server = Server(self._sockets, self._site.respond, self._web, options.idle_seconds)
        self._server.start()
        scheme = "https" if self._web.current().context else "http"
        urls = ", ".join(f"{scheme}://{name(one)}{options.telemetry_path}" for one in self._sockets)
        return f"serving {urls}"

    def wait(self, stop: threading.Event) -> None:
        """Answers until `stop`."""
        stop.wait()

    def close(self) -> None:
        """Stops listening and answering."""
        if self._server:
            self._server.close()
        if self._site:
            self._site.close()
        for one in self._sockets:
            one.close()


class Textfile:
    """Writes it to a file, again and again."""

    def __init__(self, path: Path, interval_seconds: float) -> None:
        self._path, self._interval_seconds = path, interval_seconds
        self._exposition: Exposition | None = None

    def start(self, exposition: Exposition, _: Callable[[], str]) -> str:
        """Writes it for the first time."""
        _write(self._path, exposition)
        self._exposition = exposition
        return f"writing {self._path} every {self._interval_seconds:g} s"

    def wait(self, stop: threading.Event) -> None:
        """Writes until `stop`, and removes the file."""
        assert self._exposition  # noqa: S101 - it is started
        exposition = self._exposition
        textfile.keep_writing(self._path, lambda: exposition.render(TEXT), self._interval_seconds, stop)

    def close(self) -> None:
        """Ends the exposition's threads."""
        if self._exposition:
            self._exposition.close()


class Once:
    """Writes it to a file or to standard output, one time."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def start(self, exposition: Exposition, _: Callable[[], str]) -> str:
        """Writes it."""
        if self._path:
            _write(self._path, exposition)
            return f"wrote {self._path}"
        try:
            sys.stdout.buffer.write(exposition.render(TEXT))
            sys.stdout.flush()
        except OSError as error:
            raise ExporterError("cannot write to standard output", str(error.strerror)) from error
        return "printed once"

    def wait(self, stop: threading.Event) -> None:
        """Nothing more to do."""

    def close(self) -> None:
        """Nothing to give back."""


def _write(path: Path, exposition: Exposition) -> None:
    try:
        textfile.write(path, exposition.render(TEXT))
    except OSError as error:
        raise ExporterError(f"cannot write {path} ({error.strerror})", "choose another --textfile") from error
