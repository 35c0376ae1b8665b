"""Flags for serving over HTTP."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from exporter.config.argument_types import number
from exporter.config.resolve import section
from exporter.errors import USAGE, ExporterError
from exporter.web.sockets import parse_address

DEFAULT_ADDRESS = ":10042"


@dataclass(frozen=True)
class WebOptions:
    """Where and how to serve: addresses or the sockets of systemd, the path of the metrics, and limits."""

    listen_addresses: tuple[str, ...]
    systemd_socket: bool
    config_file: Path | None
    telemetry_path: str
    max_requests: int
    idle_seconds: int


def add_web_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags to a parser, in a group."""
    web = parser.add_argument_group("serving")
    web.add_argument(
        "--web.listen-address",
        dest="web.listen_addresses",
        metavar="ADDRESS",
        action="append",
        default=[],
        help=f"address to listen on: :PORT for every IPv4 and IPv6 address, HOST:PORT or [IPV6]:PORT; may be repeated"
        f" (default {DEFAULT_ADDRESS})",
    )
    web.add_argument(
        "--web.systemd-socket",
        dest="web.systemd_socket",
        action="store_true",
        help="listen on the sockets that systemd passes (socket activation) instead of addresses",
    )
    web.add_argument(
        "--web.config.file",
        dest="web.config_file",
        metavar="FILE",
        type=Path,
        help="YAML file in the format of Prometheus' exporter-toolkit: TLS, client certificates, passwords, response"
        " headers, rate limit; reloaded when it or a file that it names changes",
    )
    web.add_argument(
        "--web.telemetry-path",
        dest="web.telemetry_path",
        metavar="PATH",
        default="/metrics",
        help="path of the metrics (default %(default)s)",
    )
    web.add_argument(
        "--web.max-requests",
        dest="web.max_requests",
        metavar="N",
        type=number(0, 100_000),
        default=40,
        help="maximum concurrent scrapes; more are answered with status 503; 0: no limit (default %(default)s)",
    )
    web.add_argument(
        "--web.idle-timeout",
        dest="web.idle_seconds",
        metavar="SECONDS",
        type=number(1, 86_400),
        default=120,
        help="seconds for a client to complete the TLS handshake and send a request, and to send the next one on the"
        " same connection; choose more than the scrape interval (default %(default)s)",
    )


def web_options(values: argparse.Namespace, origins: Mapping[str, str]) -> WebOptions:
    """Return the values of the flags. Raise ExporterError for an invalid one, naming its origin."""
    options = section(values, "web")
    addresses, path = options["listen_addresses"], options["telemetry_path"]
    for address in addresses:
        parse_address(address, origins["web.listen_addresses"])
    if options["systemd_socket"] and addresses:
        given = f"{origins['web.systemd_socket']} and {origins['web.listen_addresses']}"
        raise ExporterError(f"{given} are both given", "give one of them", status=USAGE)
    if not path.startswith("/") or path == "/" or path.startswith("/-/") or "?" in path or "#" in path:
        raise ExporterError(
            f"{origins['web.telemetry_path']}={path} is not a path", "give one such as /metrics", status=USAGE
        )
    return WebOptions(**options | {"listen_addresses": tuple(addresses) or (DEFAULT_ADDRESS,)})
