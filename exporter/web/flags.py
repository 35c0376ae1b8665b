"""Flags for serving over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from exporter.config.argument_types import number, optional_file
from exporter.config.options import flag
from exporter.errors import USAGE, ExporterError
from exporter.web.sockets import parse_address

DEFAULT_ADDRESS = ":10042"


@dataclass(frozen=True)
class WebOptions:
    """Where and how to serve: addresses or the sockets of systemd, the path of the metrics, and limits."""

    listen_addresses: tuple[str, ...] = flag(
        "--web.listen-address",
        "address to listen on: :PORT or [::]:PORT for every IPv4 and IPv6 address, 0.0.0.0:PORT for every IPv4 address,"
        " HOST:PORT or [IPV6]:PORT; may be repeated"
        f" (default {DEFAULT_ADDRESS})",
        (DEFAULT_ADDRESS,),
        action="append",
        metavar="ADDRESS",
    )
    systemd_socket: bool = flag(
        "--web.systemd-socket",
        "listen on the sockets that systemd passes (socket activation) instead of addresses",
        False,
    )
    config_file: Path | None = flag(
        "--web.config.file",
        "YAML file in the format of Prometheus' exporter-toolkit: TLS, client certificates, passwords, response"
        " headers, rate limit; reloaded when it or a file that it names changes",
        type=optional_file,
    )
    telemetry_path: str = flag("--web.telemetry-path", "path of the metrics", "/metrics", metavar="PATH")
    max_requests: int = flag(
        "--web.max-requests",
        "maximum concurrent scrapes; more are answered with status 503; 0: no limit",
        40,
        type=number(0, 100_000),
    )
    idle_seconds: int = flag(
        "--web.idle-timeout",
        "seconds for a client to complete the TLS handshake and send a request, and to send the next one on the same"
        " connection; choose more than the scrape interval",
        120,
        type=number(1, 86_400),
        metavar="SECONDS",
    )
    created: bool = flag(
        "--web.created-timestamps",
        "expose in OpenMetrics when each counter was 0, in NAME_created; Prometheus uses these timestamps with its"
        " feature created-timestamp-zero-ingestion, and stores them as further series without it",
        True,
    )

    enable_lifecycle: bool = flag(
        "--web.enable-lifecycle",
        "reload the configuration on POST /-/reload; clients need a password if there are any",
        False,
    )

    def check(self, origins: Mapping[str, str]) -> None:
        """Raise ExporterError for an invalid address or path, or for both kinds of sockets, naming the origin."""
        origin = origins.get("web.listen-address", "")
        for address in self.listen_addresses:
            parse_address(address, origin)
        if self.systemd_socket and origin:
            given = f"{origins['web.systemd-socket']} and {origin}"
            raise ExporterError(f"{given} are both given", "give one of them", status=USAGE)
        path = self.telemetry_path
        if (
            not path.startswith("/")
            or path == "/"
            or path.startswith("/-/")
            or any(part in path for part in ("//", "?", "#"))
        ):
            raise ExporterError(
                f"{origins['web.telemetry-path']}={path} is not a path", "give one such as /metrics", status=USAGE
            )
