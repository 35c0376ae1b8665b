"""The sockets that are listened on: addresses from the command line, or what systemd hands over."""

from __future__ import annotations

import contextlib
import os
import socket

from exporter.errors import USAGE, ExporterError

BACKLOG = 1024
FIRST_SYSTEMD_DESCRIPTOR = 3


def parse_address(text: str, origin: str = "--web.listen-address") -> tuple[str, int]:
    """':10042', 'host:10042' or '[::1]:10042' as host and port; no host means every address. Raises ExporterError."""
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not port.isdecimal() or int(port) > 65535 or (":" in host and not bracketed):
        raise ExporterError(f"{origin}={text} is not an address", "give HOST:PORT, [IPV6]:PORT or :PORT", status=USAGE)
    return host.strip("[]"), int(port)


def listen(addresses: tuple[str, ...]) -> list[socket.socket]:
    """Open a listening socket for each address. Raises ExporterError for the first that fails, and leaves none open."""
    with contextlib.ExitStack() as opened:
        sockets = [opened.enter_context(_listen(address)) for address in addresses]
        opened.pop_all()
    return sockets


def _listen(address: str) -> socket.socket:
    host, port = parse_address(address)
    try:
        if not host and socket.has_dualstack_ipv6():
            return socket.create_server(("", port), family=socket.AF_INET6, backlog=BACKLOG, dualstack_ipv6=True)
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, where = min(found, key=lambda one: one[0] != socket.AF_INET)  # of a name's, as Go chooses
        return socket.create_server(where, family=family, backlog=BACKLOG)  # with the scope
    except (OSError, UnicodeError) as error:  # a name that cannot be one is a UnicodeError
        why = getattr(error, "strerror", None) or "not a host name"
        raise ExporterError(f"cannot listen on {address} ({why})", "choose another --web.listen-address") from error


def systemd_sockets() -> list[socket.socket]:
    """Return the listening sockets that systemd passes (sd_listen_fds(3)). Raises ExporterError if there are none."""
    count = os.environ.get("LISTEN_FDS", "")
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or not count.isdecimal() or not int(count):
        raise ExporterError(
            "--web.systemd-socket is given and systemd has passed no socket",
            "start it through a .socket unit, or give --web.listen-address",
            status=USAGE,
        )
    sockets = []
    for descriptor in range(FIRST_SYSTEMD_DESCRIPTOR, FIRST_SYSTEMD_DESCRIPTOR + int(count)):
        os.set_inheritable(descriptor, False)
        sockets.append(socket.socket(fileno=descriptor))
        if not sockets[-1].getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise ExporterError("systemd has passed a socket that does not listen", "use ListenStream= and Accept=no")
    return sockets


def name(listening: socket.socket) -> str:
    """Where a socket listens, as it is written in a URL; for a Unix socket its path, in brackets."""
    address = listening.getsockname()
    if listening.family == socket.AF_INET:
        return f"{address[0]}:{address[1]}"
    return f"[{address[0]}]:{address[1]}" if listening.family == socket.AF_INET6 else f"[{os.fsdecode(address)}]"
