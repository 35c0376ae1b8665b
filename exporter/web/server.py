"""HTTP server: Tornado's, in a thread of its own.

Tornado holds all connections in one event loop: a slow or silent client costs a file descriptor and some kilobytes,
not a thread, and its TLS handshake and headers share one deadline.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from email.utils import formatdate
from functools import partial
from typing import Any

from tornado.http1connection import HTTP1Connection, HTTP1ServerConnection
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPConnection, HTTPHeaders, HTTPMessageDelegate, HTTPServerRequest, ResponseStartLine
from tornado.iostream import IOStream, StreamClosedError, UnsatisfiableReadError

from exporter.host.limits import raise_open_files
from exporter.web import request_target
from exporter.web.app import Request, Response
from exporter.web.config_reloader import ReloadingContext, WebFile

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 1024
OTHER_DESCRIPTORS = 256  # for the rest of the process and connections being accepted
MAX_HEADER_BYTES = 16384
MAX_BODY_BYTES = 4096  # no request needs one
MAX_UNSENT_BYTES = 32 << 20  # of responses, over all connections
WRITE_TIMEOUT_SECONDS = 30.0
TOO_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
DISCARDED_BYTES = 1 << 20  # of a request that is too long
STOP_SECONDS = 1.5


class Server:
    """Serve `respond` on listening sockets, from `start` to `close`; over TLS if the web configuration has it.

    Clients have `idle_seconds` to complete the handshake and send a request, and again for the next one, and
    `write_seconds` to read the response. At most MAX_CONNECTIONS are open: beyond that the longest-idle one is closed.
    Unsent responses are limited to MAX_UNSENT_BYTES in total: beyond that the oldest is aborted. `respond` runs in the
    server's thread.
    """

    def __init__(
        self,
        sockets: list[socket.socket],
        respond: Callable[[Request], Awaitable[Response]],
        web: WebFile,
        idle_seconds: float = 120.0,
        write_seconds: float = WRITE_TIMEOUT_SECONDS,
    ) -> None:
        self._sockets = sockets
        self._respond = respond
        self._tls = ReloadingContext.of(web) if web.current().context else None
        self._idle_seconds, self._write_seconds = idle_seconds, write_seconds
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)
        self._started: Future[None] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None

    def start(self) -> None:
        """Start serving. Raise any error of the start."""
        self._thread.start()
        self._started.result()

    def close(self) -> None:
        """Stop listening; give responses in progress STOP_SECONDS to finish."""
        if self._loop and self._stopping:
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()
        for listening in self._sockets:
            listening.close()

    def _run(self) -> None:
        try:
            with asyncio.Runner() as runner:
                runner.run(self._serve())
        except BaseException as error:
            if self._started.done():
                raise
            self._started.set_exception(error)

    async def _serve(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        responses: set[asyncio.Task[None]] = set()

        def on_request(request: HTTPServerRequest) -> None:
            http.answering(_stream(request.connection))
            response = asyncio.create_task(self._answer(http, request))
            responses.add(response)
            response.add_done_callback(responses.discard)

        http = _BoundedServer(
            on_request,
            ssl_options=self._tls,
            idle_connection_timeout=self._idle_seconds,
            body_timeout=self._idle_seconds,
            max_header_size=MAX_HEADER_BYTES,
            max_body_size=MAX_BODY_BYTES,
        )
        http.limit = _connections()
        for listening in self._sockets:
            listening.setblocking(False)
        http.add_sockets(self._sockets)
        self._started.set_result(None)
        await self._stopping.wait()
        http.stop()
        if responses:
            await asyncio.wait(responses, timeout=STOP_SECONDS)
        await http.close_all_connections()

    async def _answer(self, http: _BoundedServer, request: HTTPServerRequest) -> None:
        stream, connection = _stream(request.connection), request.connection
        assert connection  # noqa: S101 - set until the response is sent
        response = await self._respond(
            Request(
                request.method or "",
                *request_target.parse(request.uri or ""),
                {name.lower(): value for name, value in request.headers.items()},
                lambda: request.get_ssl_certificate() or None,  # type: ignore[arg-type, return-value]
            )
        )
        closing = "close" in {option.strip().lower() for option in request.headers.get("Connection", "").split(",")}
        headers = HTTPHeaders({**response.headers, "Content-Length": str(len(response.body))})
        headers["Date"] = formatdate(usegmt=True)
        if closing:
            headers["Connection"] = "close"
        body = b"" if request.method == "HEAD" else response.body
        line = ResponseStartLine("HTTP/1.1", response.status.value, response.status.phrase)
        http.sending(stream, len(body))
        try:
            async with asyncio.timeout(self._write_seconds):
                await connection.write_headers(line, headers)
                if body:  # not with the headers, which would copy it: overlapping scrapes share it
                    await connection.write(body)
            connection.finish()
            if closing:
                stream.close()
        except StreamClosedError:
            pass  # the client went away
        except TimeoutError:
            _abort(stream)


class _BoundedServer(HTTPServer):
    """Bounds the number of connections and the bytes of unsent responses; used in the event loop alone."""

    limit: int

    def initialize(self, *args: object, **kwargs: object) -> None:
        super().initialize(*args, **kwargs)  # type: ignore[arg-type]
        self._waiting: dict[IOStream, None] = {}
        self._answering: dict[IOStream, int] = {}  # bytes of their responses

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        stream = _stream(request_conn)
        stream.set_nodelay(True)
        stream.close = partial(_close, stream)  # type: ignore[method-assign]
        self._forget(stream)
        self._waiting[stream] = None
        if len(self._waiting) + len(self._answering) > self.limit:
            oldest = next(iter(self._waiting if len(self._waiting) > 1 else {**self._answering, **self._waiting}))
            self._forget(oldest)
            _abort(oldest)
        return super().start_request(server_conn, request_conn)

    def answering(self, stream: IOStream) -> None:
        """Mark a connection as having sent its request."""
        self._forget(stream)
        self._answering[stream] = 0

    def sending(self, stream: IOStream, size: int) -> None:
        """Account for a response of `size` bytes; abort the oldest ones if they are too many. The newest is sent."""
        if stream.closed():
            return
        self._answering[stream] = size
        unsent = sum(self._answering.values())
        for other, held in list(self._answering.items()):
            if unsent <= MAX_UNSENT_BYTES:
                break
            if held and other is not stream:
                unsent -= held
                self._forget(other)
                _abort(other)

    def on_close(self, server_conn: object) -> None:
        assert isinstance(server_conn, HTTP1ServerConnection)  # noqa: S101 - the only kind in Tornado
        self._forget(server_conn.stream)
        super().on_close(server_conn)

    def _forget(self, stream: IOStream) -> None:
        self._waiting.pop(stream, None)
        self._answering.pop(stream, None)


def _stream(connection: HTTPConnection | None) -> IOStream:
    assert isinstance(connection, HTTP1Connection)  # noqa: S101 - the only kind in Tornado's server
    return connection.stream


def _close(stream: IOStream, exc_info: Any = False) -> None:
    """Close a connection; respond first to a request that is too long, which Tornado does not."""
    if isinstance(exc_info, UnsatisfiableReadError):
        with contextlib.suppress(OSError):
            stream.socket.send(TOO_LONG)
            left = DISCARDED_BYTES  # unread bytes would reset the connection before the client has read the response
            while left > 0 and (discarded := stream.socket.recv(65536)):
                left -= len(discarded)
    type(stream).close(stream, exc_info)


def _abort(stream: IOStream) -> None:
    """Reset a connection: drop unread bytes, also those in the kernel's buffer."""
    if not stream.closed():
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        stream.close()


def _connections() -> int:
    """Return the maximum number of connections, after raising the soft limit of descriptors as far as allowed."""
    return max(16, raise_open_files(MAX_CONNECTIONS + OTHER_DESCRIPTORS) - OTHER_DESCRIPTORS)
