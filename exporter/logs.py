"""Logging to standard error: one line per message, in logfmt or JSON, times in UTC."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time

log = logging.getLogger(__name__)

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}
FORMATS = ("logfmt", "json")


def set_up_logging(level: str, style: str = "logfmt") -> None:
    """Set up the root logger. Tornado's messages about malformed requests are logged at level debug only."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JSON() if style == "json" else _Logfmt())
    logging.basicConfig(handlers=[handler])
    set_level(level)


def set_level(level: str) -> None:
    """Set the lowest level to log."""
    logging.getLogger().setLevel(LEVELS[level])
    for name in ("tornado.access", "tornado.general", "asyncio"):
        logging.getLogger(name).setLevel(logging.NOTSET if level == "debug" else logging.CRITICAL)


def log_uncaught() -> None:
    """Log what Python would print with a traceback: exceptions that nobody catches, in threads and destructors."""

    def in_a_thread(caught: threading.ExceptHookArgs) -> None:
        name = caught.thread.name if caught.thread else "?"
        log.error("the thread %s ended: %s: %s", name, caught.exc_type.__name__, caught.exc_value)
        log.debug("", exc_info=caught.exc_value)

    threading.excepthook = in_a_thread
    sys.unraisablehook = lambda caught: log.debug("", exc_info=caught.exc_value)


class Failures:
    """Failures of which each kind is logged once, until `forget`; the others, and tracebacks, at level debug."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._logged: set[tuple[str, type[Exception]]] = set()

    def log(self, what: str, error: Exception) -> None:
        """Log what fails, in an exception's handler."""
        new, kind = (what, type(error)) not in self._logged, type(error).__name__
        self._logged.add((what, type(error)))
        self._log.log(logging.ERROR if new else logging.DEBUG, "%s: %s: %s", what, kind, error)
        self._log.debug("", exc_info=True)

    def forget(self) -> None:
        """Log the next failure, of whatever kind."""
        self._logged.clear()


class _Fields(logging.Formatter):
    def fields(self, record: logging.LogRecord) -> dict[str, str]:
        fields = {
            "time": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower().replace("warning", "warn").replace("critical", "error"),
            "source": record.name,
            "msg": record.getMessage(),
        }
        return {**fields, "traceback": self.formatException(record.exc_info)} if record.exc_info else fields


class _Logfmt(_Fields):
    def format(self, record: logging.LogRecord) -> str:
        return " ".join(
            f"{name}={json.dumps(value) if name in ('msg', 'traceback') else value}"
            for name, value in self.fields(record).items()
        )


class _JSON(_Fields):
    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(self.fields(record))
