"""Processes in the box, and waiting for their effects."""

import os
import signal
import subprocess
from pathlib import Path

from tests.cluster.compile import BIN, DIRECTORY
from tests.waiting import until

BOX = DIRECTORY / "box"
BOX_SH = Path(__file__).parent / "box.sh"
LOGS = DIRECTORY / "log"
ENVIRONMENT = {**os.environ, "BOX": str(BOX), "PATH": f"{BIN}:{os.environ['PATH']}:/usr/sbin:/sbin"}


def box(*arguments):
    """Run box.sh."""
    subprocess.run([BOX_SH, *arguments], env=ENVIRONMENT, check=True, capture_output=True)


def run(*command, **options):
    """Run a command in the box; return its output. Raise RuntimeError with its standard error."""
    result = subprocess.run(
        [BOX_SH, "run", *map(str, command)], env=ENVIRONMENT, capture_output=True, text=True, check=False, **options
    )
    if result.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: {result.stdout}{result.stderr}")
    return result.stdout


def awaited(what, condition, seconds=300):
    """Wait for a condition, whose exceptions count as false; return its value."""
    return until(condition, seconds, what, not_yet=(RuntimeError, OSError, ValueError, KeyError))


class Services:
    """Programs that run in the box until they are stopped, the last one first."""

    def __init__(self):
        self._running = []

    def start(self, name, *command):
        LOGS.mkdir(parents=True, exist_ok=True)
        with (LOGS / f"{name}.log").open("w") as log:
            process = subprocess.Popen(
                [BOX_SH, "run", *map(str, command)],
                env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self._running.append((name, process))
        return process

    def stop(self, *names):
        """Stop the named ones, or all."""
        for name, process in reversed(self._running):
            if not names or name in names:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(15)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        self._running = [one for one in self._running if names and one[0] not in names]
