"""The package database of Fedora, Red Hat, SUSE and their relatives, read through the command `rpm`."""

from __future__ import annotations

import logging
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from exporter.host.interruption import Interruption
from exporter.host.packages import MD5, SHA256, Digests, Owner

log = logging.getLogger(__name__)

NAME = "rpm"
FILES = ("rpmdb.sqlite", "Packages", "Packages.db")
DIRECTORIES = ("usr/lib/sysimage/rpm", "var/lib/rpm")
FORMAT = "[%{=NAME}\\t%{=FILEDIGESTALGO}\\t%{FILEDIGESTS}\\t%{FILENAMES}\\n]"
ALGORITHMS = {b"8": SHA256, b"1": MD5, b"(none)": MD5}
TIMEOUT_SECONDS, POLL_SECONDS = 120.0, 0.2


class Rpm:
    """The database below `rootfs`, if there is one and an `rpm` to read it.

    `query` returns every package of a database directory, formatted by FORMAT; once the `interruption` is set, it
    raises Interrupted.
    """

    def __init__(
        self,
        rootfs: Path,
        query: Callable[[Path, Interruption], bytes] | None = None,
        interruption: Interruption | None = None,
    ) -> None:
        self._directories = [rootfs / name for name in DIRECTORIES]
        self._query, self._interruption = query or _query, interruption or Interruption()
        self._stamp: tuple[int, ...] = ()
        self._failing = False
        self._packages: list[str] = []
        self._files = {algorithm: Digests(()) for algorithm in (SHA256, MD5)}

    def installed(self) -> set[str]:
        """Return the names of all installed packages."""
        self._refresh()
        return set(self._packages)

    def owner(self, path: bytes) -> Owner | None:
        """Return the owner of an absolute path."""
        self._refresh()
        for algorithm, files in self._files.items():
            found = files.find(path)
            if found:
                return Owner(NAME, self._packages[found[1]], algorithm, found[0])
        return None

    def _refresh(self) -> None:
        """Read the database if it has changed; if that fails, retry at the next change."""
        for directory in self._directories:
            try:
                status = [path.stat() for pattern in FILES for path in sorted(directory.glob(pattern))]
            except OSError:  # a file has just been replaced
                status = []
            stamp = tuple(number for one in status for number in (one.st_mtime_ns, one.st_ino, one.st_size))
            if stamp and stamp != self._stamp:
                self._stamp = stamp
                try:
                    self._read(self._query(directory, self._interruption))
                    self._failing = False
                except (OSError, subprocess.SubprocessError, ValueError) as error:
                    if not self._failing:
                        log.warning("cannot read the packages in %s: %s", directory, error)
                    self._failing = True
            if stamp:
                return

    def _read(self, output: bytes) -> None:
        numbers: dict[bytes, int] = {}
        files: dict[str, list[tuple[bytes, bytes, int]]] = {algorithm: [] for algorithm in self._files}
        for line in output.splitlines():
            package, algorithm, digest, path = line.split(b"\t", 3)
            kind = ALGORITHMS.get(algorithm)
            if kind and digest:  # directories and links have none
                row = path, bytes.fromhex(digest.decode("ascii")), numbers.setdefault(package, len(numbers))
                files[kind].append(row)
        self._packages = [name.decode("utf-8", "replace") for name in numbers]
        self._files = {kind: Digests(rows) for kind, rows in files.items()}


def _query(directory: Path, interruption: Interruption) -> bytes:
    command = shutil.which("rpm")
    if command is None:
        raise FileNotFoundError("the command rpm is not installed")
    arguments = [command, f"--dbpath={directory}", "-qa", "--queryformat", FORMAT]
    end = time.monotonic() + TIMEOUT_SECONDS
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            while True:
                interruption.check()
                with suppress(subprocess.TimeoutExpired):
                    output, _ = process.communicate(timeout=POLL_SECONDS)
                    break
                if time.monotonic() > end:
                    raise subprocess.TimeoutExpired(command, TIMEOUT_SECONDS)
        finally:
            process.kill()  # does nothing to one that has ended
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return output
