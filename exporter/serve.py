"""HTTP: the exposition under its path, a page that leads to it, and nothing else."""

from __future__ import annotations

import html
import socket
import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app

from exporter import __version__
from exporter.refusal import USAGE, Refusal

REQUEST_TIMEOUT_SECONDS = 30


def parse_address(text: str) -> tuple[str, int]:
    """':10042', 'host:10042' or '[::1]:10042' as host and port; no host means every address. Raises Refusal."""
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not port.isdecimal() or int(port) > 65535 or (":" in host and not bracketed):
        raise Refusal(
            f"--web.listen-address={text} is not an address", "give HOST:PORT, [IPV6]:PORT or :PORT", status=USAGE
        )
    return host.strip("[]"), int(port)


class _Handler(WSGIRequestHandler):
    timeout = REQUEST_TIMEOUT_SECONDS

    def log_message(self, *_: Any) -> None:
        """Says nothing: a line for each scrape is noise."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Says nothing: a client that went away is no event."""


class Server:
    """Listens from when it is made, answers from `start` on. Raises Refusal if it cannot listen."""

    def __init__(self, address: str, telemetry_path: str, registry: CollectorRegistry) -> None:
        host, port = parse_address(address)
        try:
            family, _, _, _, sockaddr = socket.getaddrinfo(
                host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            if not host and socket.has_dualstack_ipv6():
                family, sockaddr = socket.AF_INET6, ("::", port)
            self._server = type("Server", (_Server,), {"address_family": family})(sockaddr[:2], _Handler, False)
            if family == socket.AF_INET6 and not host:
                self._server.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            self._server.server_bind()
            self._server.server_activate()
        except OSError as error:
            raise Refusal(
                f"cannot listen on {address} ({error.strerror})", "choose another --web.listen-address"
            ) from error
        self._server.set_app(application(telemetry_path, registry))
        self._thread = threading.Thread(target=self._server.serve_forever, name="http", daemon=True)

    @property
    def port(self) -> int:
        """The port that it listens on, also when 0 was asked for."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Begins to answer."""
        self._thread.start()

    def close(self) -> None:
        """Stops listening."""
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()


def application(telemetry_path: str, registry: CollectorRegistry) -> Callable[..., Iterable[bytes]]:
    """The WSGI application."""
    metrics = make_wsgi_app(registry)
    page = (
        "<!doctype html><html lang=en><title>exec_exporter</title><h1>exec_exporter</h1>"
        f"<p>Version {html.escape(__version__)}</p>"
        f'<p><a href="{html.escape(telemetry_path, quote=True)}">Metrics</a></p></html>\n'
    ).encode()

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path not in (telemetry_path, "/"):
            return _text(start_response, "404 Not Found", f"Not here. Metrics are at {telemetry_path}\n")
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return _text(start_response, "405 Method Not Allowed", "GET only.\n", ("Allow", "GET, HEAD"))
        if path == telemetry_path:
            found: Iterable[bytes] = metrics(environ, start_response)
            return found
        start_response("200 OK", [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(page)))])
        return [page]

    return answer


def _text(start_response: Callable[..., Any], status: str, text: str, *headers: tuple[str, str]) -> Iterable[bytes]:
    start_response(status, [("Content-Type", "text/plain; charset=utf-8"), *headers])
    return [text.encode()]
