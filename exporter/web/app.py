"""Routes: the metrics, a landing page, health and readiness."""

from __future__ import annotations

import asyncio
import html
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from exporter import __version__
from exporter.metrics import selection
from exporter.metrics.definitions import COLLECTORS
from exporter.metrics.exposition import Exposition
from exporter.web import request_target
from exporter.web.auth import Passwords, TooManyPasswords
from exporter.web.config import WebConfig
from exporter.web.config_reloader import WebFile
from exporter.web.negotiation import media_type, prefers_gzip
from exporter.web.rate_limit import RateLimit
from exporter.web.tls import allowed

log = logging.getLogger(__name__)

RELOAD = "/-/reload"
PLAIN = "text/plain; charset=utf-8"
READING = ("GET", "HEAD")


@dataclass(frozen=True)
class Request:
    """A request. Names of `headers` are in lower case; `certificate` returns the client's, as getpeercert() does.

    `path` is empty if the request target is malformed.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    certificate: Callable[[], Mapping[str, Any] | None] = lambda: None


@dataclass(frozen=True)
class Response:
    """A response; `headers` without Content-Length."""

    status: HTTPStatus
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class App:
    """Answer requests, all in one event loop.

    `unready` returns why scrapes are incomplete, or an empty string. At most `max_requests` scrapes run concurrently;
    0: no limit. Scrapes can ask for the collectors that are `enabled`. `reload` puts the configuration into force again
    and returns an empty string, or why it is invalid.
    """

    def __init__(
        self,
        exposition: Exposition,
        web: WebFile,
        telemetry_path: str = "/metrics",
        max_requests: int = 0,
        unready: Callable[[], str] = lambda: "",
        enabled: Collection[str] = COLLECTORS,
        reload: Callable[[], str] | None = None,
    ) -> None:
        self._exposition = exposition
        self._web = web
        self._telemetry_path = telemetry_path
        self._max_requests = max_requests
        self._unready, self._enabled = unready, enabled
        self._reload = reload
        self._pages = {
            telemetry_path: self._metrics,
            "/": self._landing,
            "/-/healthy": self._healthy,
            "/-/ready": self._ready,
            RELOAD: self._reloaded,
        }
        self._scrapes = 0
        self._passwords = Passwords()
        self._limit = RateLimit(0, 0)
        self._failing: set[str] = set()

    async def respond(self, request: Request) -> Response:
        """Return the response. A failure is status 500, logged once per page until the page works again."""
        config = self._web.current().config
        try:
            response = self._refused(request, config) or await self._answer(request, config)
        except Exception as error:
            if self._newly_failing(request.path):
                log.error(
                    "cannot answer requests: %s: %s",
                    type(error).__name__,
                    error,
                    exc_info=log.isEnabledFor(logging.DEBUG),
                )
            response = _text(HTTPStatus.INTERNAL_SERVER_ERROR, "The exporter failed; see its log.")
        return Response(response.status, response.body, {**response.headers, **config.headers})

    def close(self) -> None:
        """End the threads for passwords and for rendering."""
        self._passwords.close()
        self._exposition.close()

    def _newly_failing(self, path: str) -> bool:
        page = path if path in self._pages else ""  # clients choose all other paths: one entry for them
        new = page not in self._failing
        self._failing.add(page)
        return new

    def _refused(self, request: Request, config: WebConfig) -> Response | None:
        if (self._limit.burst, self._limit.interval) != (config.rate_burst, config.rate_interval):
            self._limit = RateLimit(config.rate_burst, config.rate_interval)
        if not self._limit.allow():
            wait = {"Retry-After": str(self._limit.seconds_to_wait())}
            return _text(HTTPStatus.TOO_MANY_REQUESTS, "Too many requests.", wait)
        names = config.tls.client_allowed_sans
        if names and not allowed(request.certificate(), names):
            return _text(HTTPStatus.FORBIDDEN, "No name in the client certificate is in client_allowed_sans.")
        return None

    async def _answer(self, request: Request, config: WebConfig) -> Response:
        if config.users:
            try:
                correct = await self._passwords.check(config.users, request.headers.get("authorization", ""))
            except TooManyPasswords:
                return _text(
                    HTTPStatus.SERVICE_UNAVAILABLE, "Too many password checks in progress.", {"Retry-After": "1"}
                )
            if not correct:
                return _text(HTTPStatus.UNAUTHORIZED, "Unauthorized.", {"WWW-Authenticate": "Basic"})
        page = self._pages.get(request.path)
        if page is None:
            return self._no_page(request)
        methods = ("POST", "PUT") if request.path == RELOAD else READING
        if request.method not in methods:
            only = f"Only {' or '.join(methods)} requests allowed."
            return _text(HTTPStatus.METHOD_NOT_ALLOWED, only, {"Allow": ", ".join(methods)})
        response = await page(request)
        self._failing.discard(request.path)
        return response

    def _no_page(self, request: Request) -> Response:
        """Answer like Go's net/http: redirect from repeated slashes, accept OPTIONS *, and refuse the rest."""
        single = request_target.with_single_slashes(request.path)
        if single in self._pages:
            location = request_target.relative(request.path, single, request.query)
            moved = HTTPStatus.MOVED_PERMANENTLY if request.method in READING else HTTPStatus.PERMANENT_REDIRECT
            return _text(moved, "Repeated slashes.", {"Location": location})
        if request.path == request_target.SERVER and request.method == "OPTIONS":
            return Response(HTTPStatus.OK, b"", {"Allow": ", ".join(READING)})
        if not request.path.startswith("/"):
            return _text(HTTPStatus.BAD_REQUEST, "Malformed request target.")
        return _text(HTTPStatus.NOT_FOUND, "Not found.")

    async def _reloaded(self, _: Request) -> Response:
        """Reload, like Prometheus."""
        if self._reload is None:
            return _text(HTTPStatus.FORBIDDEN, "Not enabled: start with --web.enable-lifecycle.")
        refused = await asyncio.to_thread(self._reload)
        if refused:
            return _text(HTTPStatus.INTERNAL_SERVER_ERROR, f"failed to reload config: {refused}")
        return _text(HTTPStatus.OK, "OK")

    async def _metrics(self, request: Request) -> Response:
        if self._max_requests and self._scrapes >= self._max_requests:
            reached = f"Limit of concurrent requests reached ({self._max_requests}), try again later."
            return _text(HTTPStatus.SERVICE_UNAVAILABLE, reached, {"Retry-After": "1"})
        try:
            selected = selection.parse(request.query, self._enabled)
        except ValueError as error:
            return _text(HTTPStatus.BAD_REQUEST, str(error))
        text_format, content_type = media_type(request.headers.get("accept", ""))
        compressed = prefers_gzip(request.headers.get("accept-encoding", ""))
        self._scrapes += 1
        try:
            body = await self._exposition.body(text_format, compressed, selected)
        finally:
            self._scrapes -= 1
        headers = {"Content-Type": content_type, "Vary": "Accept, Accept-Encoding"}
        return Response(HTTPStatus.OK, body, {**headers, "Content-Encoding": "gzip"} if compressed else headers)

    async def _landing(self, _: Request) -> Response:
        unready = self._unready()
        page = (
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>exec_exporter</title></head><body>'
            "<h1>exec_exporter</h1><p>Prometheus exporter for program executions.</p>"
            f"<p>Version {html.escape(__version__)}</p>"
            f"<p>Probe: {html.escape(unready) if unready else 'attached, last reading succeeded'}</p>"
            f'<ul><li><a href="{request_target.relative("/", self._telemetry_path)}">Metrics</a></li>'
            '<li><a href="./-/healthy">Healthy</a></li><li><a href="./-/ready">Ready</a></li></ul></body></html>\n'
        )
        return Response(HTTPStatus.OK, page.encode(), {"Content-Type": "text/html; charset=utf-8"})

    async def _healthy(self, _: Request) -> Response:
        return _text(HTTPStatus.OK, "OK")

    async def _ready(self, _: Request) -> Response:
        unready = self._unready()
        return _text(HTTPStatus.SERVICE_UNAVAILABLE if unready else HTTPStatus.OK, unready or "OK")


def _text(status: HTTPStatus, text: str, headers: Mapping[str, str] | None = None) -> Response:
    return Response(status, f"{text}\n".encode(), {"Content-Type": PLAIN, **(headers or {})})
