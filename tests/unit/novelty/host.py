"""A host whose clock stands still, with real files, a real catalogue and records in the probe's format."""

import fcntl
import os
import sqlite3
import struct
import sys
from collections import deque
from contextlib import closing

from exporter.catalogue.accepted_file import AcceptedFile
from exporter.catalogue.catalogue import Catalogue
from exporter.catalogue.learning import Learning
from exporter.events.copied_up import CopiedUp
from exporter.events.decode import Decoder
from exporter.events.event_json import as_json
from exporter.events.labels import Labels
from exporter.host.packages import Owner, Packages
from exporter.metrics.path_rules import fold_builds
from exporter.novelty.baseline import Baseline
from exporter.novelty.detector import Bounds, Clock, Detector, Introductions
from exporter.novelty.file_content import Reader
from exporter.novelty.hashing import FS_IOC_GETVERSION, Hasher
from tests.unit.layouts import LAYOUTS, File, key, record

NOBODY = 1 << 30  # a pid that no process has
DECODER = Decoder(LAYOUTS)


def generation(path):
    try:
        with path.open("rb") as file:
            told = fcntl.ioctl(file, FS_IOC_GETVERSION, bytes(struct.calcsize("l")))
    except OSError:
        return 0
    return int.from_bytes(told[:4], sys.byteorder)


def file_of(path):
    """Return the fields of a file in a key and in a record."""
    status = path.stat()
    device = os.major(status.st_dev) << 20 | os.minor(status.st_dev)
    both = {"inode": status.st_ino, "dev": device, "ctime": status.st_ctime_ns, "generation": generation(path)}
    return both, File(mode=status.st_mode, size=status.st_size, links=status.st_nlink, **both)


def key_of(path, flags=0):
    both, _ = file_of(path)
    return key(file=both.pop("inode"), path_hash=hash(path) & 0xFFFF, flags=flags, **both)


def record_of(path, flags=0, raw=None):
    names = b"".join(part + b"\0" for part in reversed(os.fsencode(path).strip(b"/").split(b"/")))
    _, program = file_of(path)
    return record(raw or key_of(path, flags), numbers={"program": program, "pid": NOBODY}, pathname=names)


def records(key, introduction):
    return as_json(key, introduction, {}, boot_time_ns=0)


class PackageDatabase:
    """Packages by the paths that they own; digests of all files are recorded."""

    def __init__(self, packages):
        self._packages = packages

    def installed(self):
        return {package for package, _ in self._packages.values()}

    def owner(self, path):
        package, md5 = self._packages.get(path, (None, None))
        return Owner("dpkg", package, recorded=md5) if package else None


class Host:
    """`learning` is the time of learning in seconds; `installed` maps paths to package and MD5."""

    def __init__(self, directory, learning=0.0, at_start=(), installed=None, trust_packages=True, **bounds):
        self.directory, self.now = directory, 1000.0
        self.installed, self.used, self.labels = installed or {}, set(), {}
        self.path = directory / "catalogue.db"
        self.catalogue = Catalogue(self.path, create=True)
        self.queue, self.executed, self._files = [], {}, 0
        self._settings = learning, at_start, trust_packages, Bounds(**bounds)
        self.start()

    def start(self, inherited=()):
        """Start another process, which continues with the catalogue and the queue."""
        learning, at_start, trust_packages, bounds = self._settings
        self.reader = Reader("/", Hasher(), Packages([PackageDatabase(self.installed)]))
        clock = Clock(lambda: self.now, lambda: self.now)
        self.baseline = Baseline(
            Learning(learning, *clock),
            self.reader,
            trust_packages=trust_packages,
            fold_builds=fold_builds,
            at_start=lambda: at_start,
        )
        self.detector = Detector(
            Introductions(DECODER, self._labels, self._take_used, CopiedUp(DECODER), deque(inherited)),
            records,
            self.reader,
            self.baseline,
            AcceptedFile(None),
            bounds,
            clock,
        )

    def _labels(self, raw):
        return self.labels.get(raw, Labels("unknown", "unknown", "unknown"))

    def _take_used(self):
        used, self.used = self.used, set()
        return used

    def program(self, content=None):
        """Make a new file with a content of its own."""
        self._files += 1
        path = self.directory / f"program-{self._files}"
        path.write_bytes(content or b"content %d" % self._files)
        return path

    def build(self):
        """Make a new file in a directory that is named as builds name them."""
        self._files += 1
        path = self.directory / f"go-build{self._files}/program"
        path.parent.mkdir()
        path.write_bytes(b"content %d" % self._files)
        return path

    def execute(self, path, raw=None):
        number = len(self.executed) + 1
        self.executed[number] = key_of(path)
        self.queue.append((number, record_of(path) if raw is None else raw))

    def step(self, seconds=0.0):
        """Run one round of the worker after some time; return the number of keys judged."""
        self.now += seconds
        self.detector.tick(self.catalogue)
        waiting = [(number, raw) for number, raw in self.queue if number > self.detector.taken]
        self.detector.take(self.catalogue, waiting[: self.detector.room])
        self.detector.look_again(self.catalogue)
        return self.detector.judge(self.catalogue)

    def found(self):
        """Return the reasons of findings by path, read by a separate connection."""
        return dict(self.rows("SELECT path, reason FROM findings"))

    def rows(self, query):
        with closing(sqlite3.connect(self.path)) as db:
            return db.execute(query).fetchall()

    def run(self, statement):
        """Change the catalogue as another process would."""
        with closing(sqlite3.connect(self.path)) as db, db:
            db.execute(statement)

    def accept(self, path):
        self.run(
            "INSERT INTO acceptances (kind, pattern, reason, expires, created)"
            f" VALUES ('path', '{path}', 'r', NULL, 1.0)"
        )

    def break_writes(self):
        """Make every write of a key fail, and with it its transaction."""
        self.run("CREATE TRIGGER broken BEFORE INSERT ON keys BEGIN SELECT RAISE(ABORT, 'broken'); END")

    def mend_writes(self):
        self.run("DROP TRIGGER IF EXISTS broken")
