import socket
from pathlib import Path

import pytest

from exporter.errors import ExporterError
from exporter.web.sockets import listen, parse_address, systemd_sockets


def test_every_address_is_listened_on():
    sockets = listen(("127.0.0.1:0", "[::1]:0", ":0"))
    try:
        assert [one.family for one in sockets] == [socket.AF_INET, socket.AF_INET6, socket.AF_INET6]
        for host, one in zip(("127.0.0.1", "::1", "127.0.0.1"), sockets, strict=True):
            socket.create_connection((host, one.getsockname()[1]), timeout=10).close()
    finally:
        for one in sockets:
            one.close()


def test_an_impossible_host_name_is_refused():
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


def test_missing_sockets_of_systemd_are_an_error(monkeypatch):
    monkeypatch.delenv("LISTEN_FDS", raising=False)
    with pytest.raises(ExporterError, match="systemd passed no socket") as refused:
        systemd_sockets()
    assert refused.value.status == 2


@pytest.mark.parametrize(
    ("text", "address"),
    [(":10042", ("", 10042)), ("127.0.0.1:1", ("127.0.0.1", 1)), ("[::1]:80", ("::1", 80)), ("host:0", ("host", 0))],
)
def test_addresses_are_read(text, address):
    assert parse_address(text) == address
