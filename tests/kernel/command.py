"""The command `exec_exporter` as a user starts it, and requests to it."""

import os
import re
import select
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

from tests.kernel.scale import scaled

COMMAND = [str(Path(sys.executable).parent / "exec_exporter")]
KEEPING_NOTHING = ["--catalogue.path=", "--bpf.pin-path="]
DEADLINE_SECONDS = scaled(240, emulated=300)


class Served:
    def __init__(self, process, port, said):
        self.process = process
        self.said = said  # the standard error until it serves
        self.url = f"http://127.0.0.1:{port}"

    def get(self, path="/metrics"):
        with urllib.request.urlopen(self.url + path, timeout=120) as answer:
            return answer.read()


@contextmanager
def served(*arguments, command=COMMAND, status=0):
    """Start the command on a free port, wait until it serves, and end it with SIGTERM.

    `status` is the expected exit status: other than 0 if the test ends it otherwise. Nothing is pinned or stored unless
    a test asks for it.
    """
    process = subprocess.Popen(
        [*command, "--web.listen-address=127.0.0.1:0", *KEEPING_NOTHING, *arguments], stderr=subprocess.PIPE, text=True
    )
    try:
        yield Served(process, *_port(process))
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_SECONDS) == status, process.stderr.read()
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stderr.close()


def _port(process):
    said, end = "", time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < end:
        ready, _, _ = select.select([process.stderr], [], [], end - time.monotonic())
        chunk = os.read(process.stderr.fileno(), 4096).decode() if ready else ""
        if not chunk:
            break
        said += chunk
        found = re.search(r"serving https?://[^ ]*:(\d+)/", said)
        if found:
            return int(found[1]), said
    raise AssertionError(f"exec_exporter did not start: {said}")


def refused(*arguments, command=COMMAND, **options):
    """Run a command that must end at once; return its status and its standard error."""
    options = {"stdout": subprocess.PIPE, **options}
    result = subprocess.run(
        [*command, *arguments], stderr=subprocess.PIPE, text=True, timeout=DEADLINE_SECONDS, check=False, **options
    )
    return result.returncode, result.stderr
