import contextlib
import http.client
import io
import os
import socket
import time
from email.utils import parsedate_to_datetime

import pytest

from tests.unit.serving import rows, serving
from tests.waiting import until


def closed_by_the_server(connection, deadline_seconds=30):
    """Return True if the server closes the connection; read until then."""
    connection.settimeout(deadline_seconds)
    try:
        while connection.recv(65536):
            pass
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    return True


def test_errors_of_the_start_are_raised(monkeypatch):
    def fail():
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("exporter.web.server._connections", fail)
    with pytest.raises(OSError, match="Too many open files"), serving():
        pass


@pytest.mark.parametrize("said", [b"", b"GET /metrics HT", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "])
def test_clients_that_send_no_request_are_disconnected(said):
    with serving(idle_seconds=1) as served, served.connect() as client:
        client.sendall(said)
        started = time.monotonic()
        assert closed_by_the_server(client)
        assert time.monotonic() - started < 20


def test_a_slow_request_has_one_deadline_in_total():
    with serving(idle_seconds=1) as served, served.connect() as client:
        started = time.monotonic()
        client.settimeout(0.05)
        while not ended(client):
            assert time.monotonic() - started < 20


def ended(client):
    """Send one more byte; return True if the server has closed the connection."""
    try:
        client.sendall(b"X")
        return client.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


@pytest.mark.parametrize("options", ["close", "Close", "keep-alive, close", "TE,close", "Upgrade,  CLOSE "])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_connection_is_closed_as_asked_and_responses_are_dated(options, method):
    with serving() as served, served.connect() as client:
        client.sendall(f"{method} /metrics HTTP/1.1\r\nHost: x\r\nConnection: {options}\r\n\r\n".encode())
        head, _, body = client.makefile("rb").read().partition(b"\r\n\r\n")
    headers = http.client.parse_headers(io.BytesIO(head.partition(b"\r\n")[2] + b"\r\n\r\n"))
    assert headers["Connection"] == "close"
    assert len(body) == (int(headers["Content-Length"]) if method == "GET" else 0)
    assert abs(parsedate_to_datetime(headers["Date"]).timestamp() - time.time()) < 3600


def test_clients_that_do_not_read_are_disconnected():
    with serving(families=lambda _: rows(100_000), write_seconds=1) as served:
        with served.connect() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            until(lambda: gone(client), what="the server closes the connection of a client that does not read")
        assert served.ask()[0] == 200


def gone(client):
    """Return True if the peer has reset the connection: TCP_INFO's state is CLOSE or CLOSE_WAIT."""
    return client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] in (7, 8)


@pytest.mark.parametrize(
    "said",
    [
        os.urandom(20_000),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),  # a TLS hello
        b"GET /metrics HTTP/1.1\r\n" + b"X: " + b"y" * 40_000 + b"\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * 10_000 + b"\r\n",
        b"GET " + b"/a" * 20_000 + b" HTTP/1.1\r\n\r\n",
        b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n",
        b"POST /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"\r\n\r\n\r\n\r\n" * 1000,
        b"GET /metrics HTTP/9.9\r\nAccept: \xff\xfe\r\n\r\n",
    ],
)
def test_malformed_requests_are_refused_and_harm_nobody(said):
    with serving(idle_seconds=2) as served:
        with served.connect() as client:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                client.sendall(said)
            assert closed_by_the_server(client)
        assert served.ask()[0] == 200


@pytest.mark.parametrize("length", [20_000, 60_000])
@pytest.mark.parametrize("text", ["GET /%s HTTP/1.1\r\nHost: x\r\n\r\n", "GET / HTTP/1.1\r\nCookie: %s\r\n\r\n"])
def test_a_request_that_is_too_long_gets_a_response(text, length):
    with serving() as served, served.connect() as client:
        client.sendall((text % ("a" * length)).encode())
        assert client.makefile("rb").readline() == b"HTTP/1.1 431 Request Header Fields Too Large\r\n"


def test_clients_that_do_not_read_hold_no_memory(monkeypatch):
    """Each gets a response of its own and reads none of it; the oldest are aborted, and scrapes continue."""
    monkeypatch.setattr("exporter.web.server.MAX_UNSENT_BYTES", 16 << 20)
    with serving(families=lambda _: rows(50_000), write_seconds=300) as served:
        size = len(served.ask()[2])
        assert size > 3 << 20
        clients = []
        try:
            for _ in range(20):
                client = served.connect()
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
                clients.append(client)
                assert served.ask()[0] == 200
            until(lambda: sum(not gone(client) for client in clients) * size <= 20 << 20)
            assert not gone(clients[-1])
        finally:
            for client in clients:
                client.close()


def test_beyond_the_maximum_connections_that_do_not_read_are_closed_too(monkeypatch):
    monkeypatch.setattr("exporter.web.server.MAX_CONNECTIONS", 16)
    monkeypatch.setattr("exporter.web.server.MAX_UNSENT_BYTES", 1 << 30)
    with serving(families=lambda _: rows(50_000), write_seconds=300) as served:
        clients = []
        try:
            for _ in range(20):
                client = served.connect()
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
                assert client.recv(1) == b"H"
                clients.append(client)
            until(lambda: sum(map(gone, clients)) >= 4)
            assert served.ask("/-/healthy")[0] == 200
        finally:
            for client in clients:
                client.close()


def test_beyond_the_maximum_the_longest_idle_connection_is_closed(monkeypatch):
    monkeypatch.setattr("exporter.web.server.MAX_CONNECTIONS", 10)
    with serving() as served:
        clients = [served.connect() for _ in range(30)]
        try:
            assert served.ask()[0] == 200
            assert all(closed_by_the_server(client) for client in clients[:15])
            clients[-1].sendall(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
            assert clients[-1].recv(4096).startswith(b"HTTP/1.1 200 OK")
        finally:
            for client in clients:
                client.close()
