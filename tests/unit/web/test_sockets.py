import errno
import os
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


def answering(addresses):
    """Return which of 127.0.0.1 and ::1 can connect to a port if all `addresses`, with that port, are listened on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    sockets = listen(tuple(f"{address}:{port}" for address in addresses))
    try:
        return {host for host in ("127.0.0.1", "::1") if connects(host, port)}
    finally:
        for one in sockets:
            one.close()


def connects(host, port):
    try:
        socket.create_connection((host, port), timeout=10).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    ("addresses", "hosts"),
    [
        ([""], {"127.0.0.1", "::1"}),
        (["[::]"], {"127.0.0.1", "::1"}),
        (["[0::0]"], {"127.0.0.1", "::1"}),
        (["0.0.0.0"], {"127.0.0.1"}),
        (["[::1]"], {"::1"}),
        (["[::ffff:127.0.0.1]"], {"127.0.0.1"}),
        (["[::]", "0.0.0.0"], {"127.0.0.1", "::1"}),
        (["0.0.0.0", "[::]"], {"127.0.0.1", "::1"}),
    ],
)
def test_unspecified_addresses_are_of_both_families(addresses, hosts):
    assert answering(addresses) == hosts


def test_a_second_socket_for_ipv4_is_refused():
    with pytest.raises(ExporterError, match=r"cannot listen on 127\.0\.0\.1:\d+ \(Address already in use\)"):
        answering(["[::]", "127.0.0.1"])


def test_without_ipv6_the_port_is_served_on_ipv4(monkeypatch):
    """The answer of the kernel with ipv6.disable=1, or under RestrictAddressFamilies=AF_INET."""
    original = socket.socket.__init__

    def without_ipv6(self, family=-1, *arguments, **options):
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
        original(self, family, *arguments, **options)

    monkeypatch.setattr(socket.socket, "__init__", without_ipv6)
    assert answering([""]) == {"127.0.0.1"}
    with pytest.raises(
        ExporterError, match=r"cannot listen on \[::\]:\d+ \(Address family not supported by protocol\)"
    ):
        answering(["[::]"])


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
