"""Listening sockets: for addresses of the command line, or passed by systemd."""

from __future__ import annotations

import contextlib
import os
import socket

from exporter.errors import USAGE, ExporterError, remedy_of

BACKLOG = 1024
FIRST_SYSTEMD_DESCRIPTOR = 3


def parse_address(text: str, origin: str = "--web.listen-address") -> tuple[str, int]:
    """Parse ':10042', 'host:10042' or '[::1]:10042' to host and port; no host: every address. Raise ExporterError."""
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not (port.isascii() and port.isdecimal()) or int(port) > 65535 or (":" in host and not bracketed):
        raise ExporterError(f"{origin}={text} is not an address", "give HOST:PORT, [IPV6]:PORT or :PORT", status=USAGE)
    return host.strip("[]"), int(port)


def listen(addresses: tuple[str, ...]) -> list[socket.socket]:
    """Open a listening socket per address. Raise ExporterError for the first that fails, and leave none open."""
    with contextlib.ExitStack() as opened:
        sockets = [opened.enter_context(_listen(address, addresses)) for address in addresses]
        opened.pop_all()
    return sockets


def _listen(address: str, addresses: tuple[str, ...]) -> socket.socket:
    """Open a listening socket; [::] accepts IPv4 too, like in Go, unless 0.0.0.0 is given as well.

    Raise ExporterError.
    """
    host, port = parse_address(address)
    both = socket.has_dualstack_ipv6()
    try:
        unspecified = "::" if both else None
        found = socket.getaddrinfo(host or unspecified, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, where = min(found, key=lambda one: one[0] != socket.AF_INET)  # prefer IPv4, like Go
        mapped = str(where[0]).startswith("::ffff:")
        dual = both and (mapped or (where[0] == "::" and f"0.0.0.0:{port}" not in addresses))
        # bound to `where`, which has the scope of an IPv6 address
        return socket.create_server(where, family=family, backlog=BACKLOG, dualstack_ipv6=dual)
    except (OSError, UnicodeError) as error:  # UnicodeError: not a host name
        number = getattr(error, "errno", None) or 0  # that of a host name that is not found is negative
        why = os.strerror(number) if number > 0 else getattr(error, "strerror", None) or "not a host name"
        remedy = remedy_of(error, "choose another --web.listen-address")
        raise ExporterError(f"cannot listen on {address} ({why})", remedy) from error


def systemd_sockets() -> list[socket.socket]:
    """Return the listening sockets that systemd passed, see sd_listen_fds(3). Raise ExporterError without any."""
    count = os.environ.get("LISTEN_FDS", "")
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or not count.isdecimal() or not int(count):
        raise ExporterError(
            "--web.systemd-socket is given but systemd passed no socket",
            "start the service through a .socket unit, or give --web.listen-address",
            status=USAGE,
        )
    sockets = []
    for descriptor in range(FIRST_SYSTEMD_DESCRIPTOR, FIRST_SYSTEMD_DESCRIPTOR + int(count)):
        os.set_inheritable(descriptor, False)
        sockets.append(socket.socket(fileno=descriptor))
        if not sockets[-1].getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise ExporterError("systemd passed a socket that is not listening", "use ListenStream= and Accept=no")
    return sockets


def name(listening: socket.socket) -> str:
    """Return the address of a socket for a URL; for a Unix socket its path, in brackets."""
    address = listening.getsockname()
    if listening.family == socket.AF_INET:
        return f"{address[0]}:{address[1]}"
    return f"[{address[0]}]:{address[1]}" if listening.family == socket.AF_INET6 else f"[{os.fsdecode(address)}]"
