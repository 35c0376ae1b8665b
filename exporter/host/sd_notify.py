"""Notifies systemd of the state of the service, as sd_notify(3) does."""

from __future__ import annotations

import logging
import os
import socket

log = logging.getLogger(__name__)


def notify(state: str) -> None:
    """Send a state, for example READY=1, to the service manager, if it listens."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.connect(f"\0{path[1:]}" if path.startswith("@") else path)
            sender.sendall(state.encode())
    except OSError as error:
        log.warning("cannot notify systemd of %s: %s", state, error.strerror)
