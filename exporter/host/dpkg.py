"""The package database of Debian and its relatives: /var/lib/dpkg."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path

from exporter.host.packages import Digests, Index, Owner

log = logging.getLogger(__name__)

NAME = "dpkg"
_SCRIPTS = rb"(?:preinst|postinst|prerm|postrm|config)"
_MAINTAINER_SCRIPT = re.compile(
    rb"/var/lib/dpkg/info/(?P<installed>[^/]+)\." + _SCRIPTS + rb"|/var/(?:lib/dpkg|cache/debconf)/tmp\.ci/" + _SCRIPTS
    + rb"|/var/cache/debconf/(?P<asking>[^/]+)\.config\.[A-Za-z0-9]{6}"
)  # fmt: skip
_MD5SUM = re.compile(rb"^([0-9a-f]{32})  (.+)$", re.MULTILINE)
_CONFFILE = re.compile(rb"^ (/.+?) ([0-9a-f]{32})(?: obsolete)?$", re.MULTILINE)
_PACKAGE = re.compile(rb"^Package: (\S+)$", re.MULTILINE)

Stamp = tuple[int, int]


class Dpkg:
    """The database below `rootfs`, if there is one. It reads files again once they have changed."""

    def __init__(self, rootfs: Path) -> None:
        self._directory = rootfs / "var/lib/dpkg"
        self._packages: dict[str, tuple[Stamp, Digests]] = {}
        self._names: list[str] = []
        self._index = Index(())
        self._conffiles: dict[bytes, tuple[str, bytes]] = {}
        self._diversions: dict[bytes, bytes] = {}
        self._stamps: dict[str, Stamp | None] = {}

    def installed(self) -> set[str]:
        """Return the names of all installed packages."""
        self._refresh()
        return {_plain(package) for package in self._packages}

    def owner(self, path: bytes) -> Owner | None:
        """Return the owner of an absolute path, where `path` is the package's own name for the file."""
        script = _MAINTAINER_SCRIPT.fullmatch(path)
        if script:
            package = (script["installed"] or script["asking"] or b"").decode("utf-8", "replace")
            return Owner(NAME, _plain(package) or self._unpacking(), maintainer_script=True)
        self._refresh()
        path = self._diversions.get(path, path)
        conffile = self._conffiles.get(path)
        if conffile:
            return Owner(NAME, conffile[0], recorded=conffile[1])
        # files that are being unpacked replace the old ones before the new list does
        coming = Digests(self._md5sums(self._directory / "tmp.ci/md5sums")).find(path)
        if coming:
            return Owner(NAME, self._unpacking(), recorded=coming[0])
        found = self._index.find(path)
        return Owner(NAME, _plain(self._names[found[0]]), recorded=found[1]) if found else None

    def _unpacking(self) -> str:
        """Return the name of the package that is being unpacked."""
        try:
            found = _PACKAGE.search((self._directory / "tmp.ci/control").read_bytes())
        except OSError:
            found = None
        return found[1].decode("utf-8", "replace") if found else "unknown"

    def _refresh(self) -> None:
        try:
            self._read()
        except OSError as error:
            log.debug("cannot read the package database: %s", error)

    def _read(self) -> None:
        info = self._directory / "info"
        if self._changed(info):
            found = {}
            for path in info.glob("*.md5sums"):
                stamp = _stamp(path)
                known = self._packages.get(path.stem)
                found[path.stem] = known if known and known[0] == stamp else (stamp, Digests(self._md5sums(path)))
            self._packages, self._names = found, list(found)
            self._index = Index([digests for _, digests in found.values()])
        if self._changed(self._directory / "status"):
            self._conffiles = dict(_conffiles((self._directory / "status").read_bytes()))
        if self._changed(self._directory / "diversions"):
            lines = (self._directory / "diversions").read_bytes().splitlines()
            self._diversions = dict(zip(lines[1::3], lines[0::3], strict=False))

    def _changed(self, path: Path) -> bool:
        stamp = _stamp(path) if path.exists() else None
        changed = stamp is not None and self._stamps.get(path.name) != stamp
        self._stamps[path.name] = stamp
        return changed

    def _md5sums(self, path: Path) -> Iterator[tuple[bytes, bytes, int]]:
        try:
            text = path.read_bytes()
        except OSError:  # absent, or just removed
            return
        for digest, name in _MD5SUM.findall(text):
            yield b"/" + name, bytes.fromhex(digest.decode("ascii")), 0


def _plain(package: str) -> str:
    """Return a package name without the architecture, for example libc6 for libc6:amd64."""
    return package.partition(":")[0]


def _conffiles(status: bytes) -> Iterator[tuple[bytes, tuple[str, bytes]]]:
    for entry in status.split(b"\n\n"):
        package = _PACKAGE.search(entry)
        _, found, rest = entry.partition(b"\nConffiles:\n")
        if package and found:
            for path, digest in _CONFFILE.findall(rest):
                yield path, (package[1].decode("utf-8", "replace"), bytes.fromhex(digest.decode("ascii")))


def _stamp(path: Path) -> Stamp:
    status = path.stat()
    return status.st_mtime_ns, status.st_ino
