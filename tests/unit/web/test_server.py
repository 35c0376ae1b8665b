import contextlib
import gzip
import os
import socket
import threading
import time
from pathlib import Path

import pytest

from exporter.errors import ExporterError
from exporter.web.sockets import listen, systemd_sockets
from tests.unit.serving import rows, serving


@pytest.fixture(scope="module")
def served():
    with serving() as served:
        yield served


def closed_by_the_server(connection, deadline_seconds=30):
    """Whether the server ends the connection; reads what it says until then."""
    connection.settimeout(deadline_seconds)
    try:
        while connection.recv(65536):
            pass
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    return True


def test_metrics_are_under_their_path(served):
    status, headers, body = served.ask()
    assert status == 200
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert b'path="/usr/bin/program-2",stdin_type="file"} 2.0\n' in body


def test_openmetrics_and_gzip_are_given_to_who_accepts_them(served):
    accepting = {"Accept": "application/openmetrics-text; version=1.0.0", "Accept-Encoding": "deflate, gzip;q=0.5"}
    _, headers, body = served.ask(headers=accepting)
    assert headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(body).endswith(b"# EOF\n")


def test_the_root_says_what_it_is_and_leads_on(served):
    status, _, body = served.ask("/")
    assert status == 200
    for words in (b"exec_exporter", b"Version 0.", b"attached", b'href="/metrics"', b'href="/-/healthy"'):
        assert words in body


def test_health_and_readiness():
    why = []
    with serving(unready=lambda: "".join(why)) as served:
        assert served.ask("/-/healthy")[::2] == (200, b"OK\n")
        assert served.ask("/-/ready")[::2] == (200, b"OK\n")
        why.append("not attached")
        assert served.ask("/-/healthy")[0] == 200
        assert served.ask("/-/ready")[::2] == (503, b"not attached\n")
        assert b"Probe: not attached" in served.ask("/")[2]


def test_nothing_else_is_there(served):
    assert served.ask("/favicon.ico")[0] == 404
    assert served.ask("/metrics/x")[0] == 404
    assert served.ask("/metrics?a=b")[0] == 200


def test_only_reading_is_allowed(served):
    status, headers, _ = served.ask(method="POST")
    assert (status, headers["Allow"]) == (405, "GET, HEAD")
    status, headers, body = served.ask(method="HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) > 100


def test_what_keeps_the_server_from_starting_is_raised(monkeypatch):
    def fail():
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("exporter.web.server._connections", fail)
    with pytest.raises(OSError, match="Too many open files"), serving():
        pass


def test_a_reading_that_raises_is_a_500_and_is_logged_once(caplog):
    def fail():
        raise OSError(5, "the map is gone")

    with serving(families=fail) as served:
        for _ in range(3):
            assert served.ask()[0] == 500
            assert served.ask("/-/healthy")[0] == 200
    assert len([record for record in caplog.records if "the map is gone" in record.message]) == 1


def test_more_scrapes_than_allowed_are_refused():
    go_on, asked = threading.Event(), threading.Event()

    def held():
        asked.set()
        go_on.wait(30)
        return rows(1)

    with serving(families=held, max_requests=1) as served:
        answers = []
        first = threading.Thread(target=lambda: answers.append(served.ask()[0]))
        first.start()
        assert asked.wait(30)
        status, headers, body = served.ask()
        assert (status, headers["Retry-After"]) == (503, "1")
        assert b"Limit of concurrent requests reached (1)" in body
        assert served.ask("/-/healthy")[0] == 200
        go_on.set()
        first.join()
        assert answers == [200]
        assert served.ask()[0] == 200


@pytest.mark.parametrize("said", [b"", b"GET /metrics HT", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "])
def test_who_says_too_little_is_sent_away(said):
    with serving(idle_seconds=1) as served, served.connect() as client:
        client.sendall(said)
        started = time.monotonic()
        assert closed_by_the_server(client)
        assert time.monotonic() - started < 20


def test_who_speaks_slowly_has_one_deadline_for_all():
    with serving(idle_seconds=1) as served, served.connect() as client:
        started = time.monotonic()
        client.settimeout(0.05)
        while not ended(client):
            assert time.monotonic() - started < 20


def ended(client):
    """Sends one more byte; whether the server has ended the connection."""
    try:
        client.sendall(b"X")
        return client.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def test_who_does_not_read_is_sent_away():
    with serving(families=lambda: rows(100_000), write_seconds=1) as served:
        with served.connect() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            end = time.monotonic() + 30
            while time.monotonic() < end and not gone(client):
                time.sleep(0.05)
            assert gone(client), "the server still waits for a client that does not read"
        assert served.ask()[0] == 200


def gone(client):
    """Whether the peer has reset the connection: TCP_INFO's state is CLOSE or CLOSE_WAIT."""
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
def test_garbage_is_refused_and_harms_nobody(said):
    with serving(idle_seconds=2) as served:
        with served.connect() as client:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                client.sendall(said)
            assert closed_by_the_server(client)
        assert served.ask()[0] == 200


def test_who_does_not_read_holds_no_memory(monkeypatch):
    """Each takes an answer of its own and reads nothing of it; the oldest are given up, and scrapes go on."""
    monkeypatch.setattr("exporter.web.server.MAX_UNSENT_BYTES", 16 << 20)
    with serving(families=lambda: rows(50_000), write_seconds=300) as served:
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
            waited_until(lambda: sum(not gone(client) for client in clients) * size <= 20 << 20)
            assert not gone(clients[-1])
        finally:
            for client in clients:
                client.close()


def waited_until(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_of_too_many_connections_those_that_do_not_read_are_closed_too(monkeypatch):
    monkeypatch.setattr("exporter.web.server.MAX_CONNECTIONS", 16)
    monkeypatch.setattr("exporter.web.server.MAX_UNSENT_BYTES", 1 << 30)
    with serving(families=lambda: rows(50_000), write_seconds=300) as served:
        clients = []
        try:
            for _ in range(20):
                client = served.connect()
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
                assert client.recv(1) == b"H"
                clients.append(client)
            waited_until(lambda: sum(map(gone, clients)) >= 4)
            assert served.ask("/-/healthy")[0] == 200
        finally:
            for client in clients:
                client.close()


def test_of_too_many_connections_the_oldest_that_waits_is_closed(monkeypatch):
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


def test_every_address_is_listened_on():
    sockets = listen(("127.0.0.1:0", "[::1]:0", ":0"))
    try:
        assert [one.family for one in sockets] == [socket.AF_INET, socket.AF_INET6, socket.AF_INET6]
        for host, one in zip(("127.0.0.1", "::1", "127.0.0.1"), sockets, strict=True):
            socket.create_connection((host, one.getsockname()[1]), timeout=10).close()
    finally:
        for one in sockets:
            one.close()


def test_a_host_that_is_none_is_refused():
    for address in ("a..b:80", f"{'a' * 64}.example:80"):
        with pytest.raises(ExporterError, match="cannot listen on"):
            listen((address,))


def test_an_address_in_use_is_refused_and_leaves_nothing_open():
    with socket.create_server(("127.0.0.1", 0)) as other:
        before = descriptors()
        with pytest.raises(ExporterError, match="Address already in use"):
            listen(("127.0.0.1:0", f"127.0.0.1:{other.getsockname()[1]}"))
        assert descriptors() == before


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


def test_without_sockets_from_systemd_it_says_so(monkeypatch):
    monkeypatch.delenv("LISTEN_FDS", raising=False)
    with pytest.raises(ExporterError, match="systemd passed no socket") as refused:
        systemd_sockets()
    assert refused.value.status == 2
