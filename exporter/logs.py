"""Logging to standard error: one line per message, in logfmt or JSON, times in UTC."""

from __future__ import annotations

import json
import logging
import sys
import time

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}
FORMATS = ("logfmt", "json")


def set_up_logging(level: str, style: str = "logfmt") -> None:
    """Set up the root logger. Tornado's messages about malformed requests are logged at level debug only."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JSON() if style == "json" else _Logfmt())
    logging.basicConfig(level=LEVELS[level], handlers=[handler])
    if level != "debug":
        for name in ("tornado.access", "tornado.general", "asyncio"):
            logging.getLogger(name).setLevel(logging.CRITICAL)


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
