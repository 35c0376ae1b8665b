"""The flags for where the exposition goes: HTTP, a file, or standard output."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from exporter.config.argument_types import number
from exporter.errors import USAGE, ExporterError
from exporter.metrics.textfile import check_path
from exporter.web.sockets import parse_address

DEFAULT_ADDRESS = ":10042"


def add_web_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags to a parser, in groups."""
    web = parser.add_argument_group("serving")
    web.add_argument(
        "--web.listen-address",
        dest="listen_addresses",
        metavar="ADDRESS",
        action="append",
        default=[],
        help=f"address to listen on: :PORT for every IPv4 and IPv6 address, HOST:PORT or [IPV6]:PORT; may be repeated"
        f" (default {DEFAULT_ADDRESS})",
    )
    web.add_argument(
        "--web.systemd-socket",
        dest="systemd_socket",
        action="store_true",
        help="listen on the sockets that systemd passes (socket activation) instead of addresses",
    )
    web.add_argument(
        "--web.config.file",
        dest="web_config_file",
        metavar="FILE",
        type=Path,
        help="YAML file that turns on TLS, client certificates, passwords, response headers and a rate limit, as for"
        " every Prometheus exporter; it and the files it names are read again when they change",
    )
    web.add_argument(
        "--web.telemetry-path",
        dest="telemetry_path",
        metavar="PATH",
        default="/metrics",
        help="path of the metrics (default %(default)s)",
    )
    web.add_argument(
        "--web.max-requests",
        dest="max_requests",
        metavar="N",
        type=number(0, 100_000),
        default=40,
        help="scrapes under way at once; a further one is answered with 503; 0 for no limit (default %(default)s)",
    )
    web.add_argument(
        "--web.idle-timeout",
        dest="idle_seconds",
        metavar="SECONDS",
        type=number(1, 86_400),
        default=120,
        help="time for a client to complete TLS handshake and request, and to send the next one on a connection that"
        " is kept; let it be longer than the scrape interval (default %(default)s)",
    )
    output = parser.add_argument_group("instead of serving")
    output.add_argument(
        "--once", action="store_true", help="print the metrics to standard output, or --textfile, once and exit"
    )
    output.add_argument(
        "--textfile",
        metavar="FILE",
        type=Path,
        help="keep writing the metrics to FILE for node_exporter's textfile collector; it is replaced atomically, its"
        " name ends in .prom, and it is removed in the end",
    )
    output.add_argument(
        "--textfile.interval",
        dest="textfile_seconds",
        metavar="SECONDS",
        type=number(1, 86_400),
        default=15,
        help="time from one writing of --textfile to the next (default %(default)s)",
    )


def check_web_flags(options: argparse.Namespace, origins: Mapping[str, str]) -> None:
    """Raises ExporterError for what cannot be meant, naming what gave it; fills in the default address."""
    for address in options.listen_addresses:
        parse_address(address, origins["listen_addresses"])
    if options.systemd_socket and options.listen_addresses:
        given = f"{origins['systemd_socket']} and {origins['listen_addresses']}"
        raise ExporterError(f"{given} are both given", "give one of them", status=USAGE)
    path = options.telemetry_path
    if not path.startswith("/") or path == "/" or path.startswith("/-/") or "?" in path or "#" in path:
        raise ExporterError(
            f"{origins['telemetry_path']}={path} is not a path", "give one such as /metrics", status=USAGE
        )
    if options.textfile:
        check_path(options.textfile, origins["textfile"])
    options.listen_addresses = tuple(options.listen_addresses) or (DEFAULT_ADDRESS,)
