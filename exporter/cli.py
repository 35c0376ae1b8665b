"""The command line: what can be asked for, and how it is asked wrongly."""

from __future__ import annotations

import argparse
import logging
import platform
import sys
import time
from dataclasses import dataclass

from exporter import __version__
from exporter.arguments import Parser, number, power_of_two
from exporter.refusal import USAGE, Refusal
from exporter.serve import parse_address

LEVELS = ("debug", "info", "warn", "error")


@dataclass(frozen=True)
class Options:
    """What the command line says."""

    listen_address: str
    telemetry_path: str
    map_entries: int
    ring_buffer_pages: int
    log_level: str
    check: bool


def parser() -> argparse.ArgumentParser:
    """All flags, with their defaults and help."""
    parser = Parser(
        prog="exec_exporter",
        description="Counts program executions in the kernel and serves them to Prometheus."
        " exec_exporter trace prints them instead: see exec_exporter trace --help.",
        epilog="Exit status: 0 stopped or check passed, 1 cannot run here, 2 wrong usage.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--web.listen-address",
        dest="listen_address",
        metavar="ADDRESS",
        default=":10042",
        help="address to listen on: :PORT, HOST:PORT or [IPV6]:PORT (default %(default)s)",
    )
    parser.add_argument(
        "--web.telemetry-path",
        dest="telemetry_path",
        metavar="PATH",
        default="/metrics",
        help="path of the metrics (default %(default)s)",
    )
    parser.add_argument(
        "--bpf.map-entries",
        dest="map_entries",
        metavar="N",
        type=number(1, 1 << 24),
        default=32768,
        help="combinations of file, interpreter and standard input that can be counted; about 140 bytes of kernel"
        " memory each (default %(default)s)",
    )
    parser.add_argument(
        "--bpf.ring-buffer-pages",
        dest="ring_buffer_pages",
        metavar="N",
        type=power_of_two(1 << 16),
        default=256,
        help="size of the ring buffer for the names of new programs, in pages; a power of two (default %(default)s)",
    )
    parser.add_argument(
        "--log.level", dest="log_level", choices=LEVELS, default="info", help="least level to log (default %(default)s)"
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="compile, load and attach the probe, read it once, say what this kernel lacks, and exit",
    )
    parser.add_argument(
        "--version",
        action="version",
        version=f"exec_exporter {__version__} (python {platform.python_version()}, linux {platform.release()})",
    )
    return parser


def parse(arguments: list[str]) -> Options:
    """Raises Refusal for what cannot be meant."""
    options = Options(**vars(parser().parse_args(arguments)))
    parse_address(options.listen_address)
    if not options.telemetry_path.startswith("/") or options.telemetry_path == "/":
        raise Refusal(
            f"--web.telemetry-path={options.telemetry_path} is not a path", "give one such as /metrics", status=USAGE
        )
    return options


def set_up_logging(level: str) -> None:
    """Logs to standard error in logfmt, times in UTC."""
    handler = logging.StreamHandler(sys.stderr)
    formatter = logging.Formatter(
        'time=%(asctime)s.%(msecs)03dZ level=%(levelname)s source=%(name)s msg="%(message)s"', "%Y-%m-%dT%H:%M:%S"
    )
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    handler.addFilter(_quote)
    logging.addLevelName(logging.WARNING, "warn")
    for name in ("debug", "info", "error"):
        logging.addLevelName(getattr(logging, name.upper()), name)
    logging.basicConfig(level=_LEVELS[level], handlers=[handler])


_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}


def _quote(record: logging.LogRecord) -> bool:
    """Keeps a message on one line and inside its quotes."""
    text = record.getMessage().replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    record.msg, record.args = text, ()
    return True
