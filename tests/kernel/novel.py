"""The service with a catalogue of the test's own, and its findings in metrics, commands and the file."""

import itertools
import json
import os
import sqlite3
import subprocess
import threading
import time
from contextlib import closing, contextmanager
from pathlib import Path

from tests.kernel.command import COMMAND, served
from tests.kernel.programs import execute, static_elf
from tests.scraped import Scraped
from tests.waiting import until

DEADLINE_SECONDS = 240
_salts = itertools.count()


def within(seconds, attempt, times=5):
    """Return True if one of several attempts succeeds within that time: a busy machine is late now and then."""
    for _ in range(times):
        condition = attempt()
        started = time.monotonic()
        until(condition)
        if time.monotonic() - started < seconds:
            return True
    return False


def unmount(path):
    """Unmount, and retry while the service reads a program there."""
    until(lambda: subprocess.run(["umount", path], capture_output=True, check=False).returncode == 0)


def new_elf(path):
    """Return a program that has never existed before."""
    return static_elf(path, salt=os.urandom(16) + str(next(_salts)).encode())


class Host:
    """A service and the file of its catalogue; a thread collects its standard error."""

    def __init__(self, service, catalogue, directory):
        self.service, self.catalogue, self._directory = service, catalogue, directory
        self.said = service.said.encode()  # a full pipe would block the service
        threading.Thread(target=self._listen, args=(os.dup(service.process.stderr.fileno()),), daemon=True).start()

    def _listen(self, descriptor):
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            while chunk := file.read(4096):
                self.said += chunk

    def samples(self):
        return self.scrape().all

    def scrape(self):
        return Scraped(self.service.get().decode())

    def value(self, name, **labels):
        return self.scrape().value(name, **labels)

    def state(self):
        return next(
            s.labels["state"] for s in self.samples() if s.name == "exec_exporter_baseline_state" and s.value == 1
        )

    def open(self, below=""):
        """Return the open findings in the metrics, reason by path, of paths with that prefix."""
        return {
            s.labels["path"]: s.labels["reason"]
            for s in self.samples()
            if s.name == "exec_novel_binary_first_seen_timestamp_seconds" and s.labels["path"].startswith(str(below))
        }

    def rows(self, below=""):
        """Return all findings in the catalogue's file: path, reason, content and record. Reads with SQLite itself."""
        with closing(sqlite3.connect(f"file:{self.catalogue}?mode=ro", uri=True)) as db:
            found = db.execute("SELECT path, reason, content, record FROM findings").fetchall()
        return [
            (path, reason, bytes(content).hex(), json.loads(record))
            for path, reason, content, record in found
            if path.startswith(str(below))
        ]

    def programs(self):
        """Return the paths of all programs in the catalogue's file."""
        with closing(sqlite3.connect(f"file:{self.catalogue}?mode=ro", uri=True)) as db:
            return {path for (path,) in db.execute("SELECT path FROM programs")}

    def catch_up(self):
        """Return once all earlier executions have been judged: a later program has been."""
        canary = new_elf(self._directory / f"canary-{next(_salts)}")
        execute(canary)
        until(lambda: any(row[0] == str(canary) for row in self.rows(self._directory)))

    def found(self, below, action):
        """Return the findings that an action causes: reason by path."""
        before = {row[0] for row in self.rows(below)}
        action()
        self.catch_up()
        return {path: reason for path, reason, *_ in self.rows(below) if path not in before}

    def command(self, *arguments, status=0):
        """Run `exec_exporter` with the service's catalogue; return its output, or its standard error if it fails."""
        command = [*COMMAND, *arguments, f"--catalogue.path={self.catalogue}"]
        result = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
        assert result.returncode == status, result.stderr
        return result.stderr if status else result.stdout


@contextmanager
def watching(directory, *arguments, learning="0s", catalogue=None, state="watching", status=0):
    """Start the service; yield it in that state. The limit of findings leaves room for those of other programs."""
    catalogue = catalogue or directory / "catalogue.db"
    canaries = Path(directory) / "canaries"
    canaries.mkdir(exist_ok=True)
    options = [f"--catalogue.path={catalogue}", f"--learning.duration={learning}", "--findings.series=10000"]
    with served(*options, *arguments, status=status) as service:
        host = Host(service, catalogue, canaries)
        until(lambda: host.state() == state)
        yield host
