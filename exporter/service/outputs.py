"""Outputs of the metrics: HTTP, a file, standard output."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Collection

from exporter.errors import ExporterError, remedy_of
from exporter.metrics import textfile
from exporter.metrics.exposition import Exposition
from exporter.metrics.flags import OutputOptions
from exporter.metrics.render import TEXT
from exporter.web.app import App
from exporter.web.config_reloader import WebFile
from exporter.web.flags import WebOptions
from exporter.web.server import Server
from exporter.web.sockets import listen, name, systemd_sockets

log = logging.getLogger(__name__)


class HTTP:
    """The HTTP server, in a thread of its own. It listens when made: clients wait until `start`."""

    def __init__(self, options: WebOptions) -> None:
        self._options = options
        self.file = WebFile(options.config_file)
        self._sockets = systemd_sockets() if options.systemd_socket else listen(options.listen_addresses)

    def start(
        self,
        exposition: Exposition,
        unready: Callable[[], str],
        enabled: Collection[str],
        reload: Callable[[], str],
    ) -> str:
        """Serve until `stop`; return the URLs for the log."""
        options = self._options
        allowed = reload if options.enable_lifecycle else None
        path, most = options.telemetry_path, options.max_requests
        self._app = App(exposition, self.file, path, most, unready, enabled, allowed)
        self._server = Server(self._sockets, self._app.respond, self.file, options.idle_seconds)
        self._server.start()
        scheme = "https" if self.file.value.context else "http"
        return "serving " + ", ".join(f"{scheme}://{name(one)}{options.telemetry_path}" for one in self._sockets)

    def stop(self) -> None:
        """Stop listening, finish the responses in progress, end the threads."""
        self._server.close()
        self._app.close()

    def close(self) -> None:
        """Close the sockets."""
        for one in self._sockets:
            one.close()


def write(options: OutputOptions, exposition: Exposition) -> str:
    """Write the metrics to --textfile or standard output; return a summary for the log. Raise ExporterError."""
    path, metrics = options.textfile, exposition.render(TEXT)
    if not path:
        sys.stdout.buffer.write(metrics)
        sys.stdout.flush()
        return "printed once"
    try:
        textfile.write(path, metrics)
    except OSError as error:
        raise ExporterError(
            f"cannot write to {path} ({error.strerror})", remedy_of(error, "give a --textfile that can be written")
        ) from error
    return f"wrote {path}" if options.once else f"writing {path} every {options.interval_seconds} s"


def keep_writing(options: OutputOptions, exposition: Exposition, stopped: Callable[[float], bool]) -> None:
    """Write --textfile at each interval until `stopped`, then remove it so that its series end with the exporter.

    `stopped` waits for some seconds. Log a failure once, until a write succeeds again.
    """
    path, failing = options.textfile, False
    assert path  # noqa: S101 - without it there is nothing to keep
    while not stopped(options.interval_seconds):
        try:
            textfile.write(path, exposition.render(TEXT))
            failing = False
        except OSError as error:
            if not failing:
                log.error("cannot write %s: %s", path, error.strerror)
            failing = True
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.error("cannot remove %s: %s", path, error.strerror)
