"""The kernel's maps as plain dictionaries, for tests of their readers."""

import ctypes

from exporter.collectors.executions import Clock
from exporter.collectors.flags import SeriesOptions
from exporter.collectors.pipeline import Pipeline
from exporter.metrics.path_rules import PathRules
from exporter.probe.exec_header import FORMATS, HISTOGRAMS, OUTCOMES, enum
from exporter.probe.hooks import Hook
from exporter.probe.upkeep import OBJECTS
from tests.unit.layouts import LAYOUTS, key, record

SECOND = 10**9
NO_RULES = PathRules()


class Value(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("program", "introduced", "executions", "last", "began")]


class Process(ctypes.Structure):
    _fields_ = [("executed", ctypes.c_uint64), ("program", ctypes.c_uint64)]


class ExitStats(ctypes.Structure):
    _fields_ = [
        ("began", ctypes.c_uint64),
        ("lifetime_us", ctypes.c_uint64),
        ("lifetimes", ctypes.c_uint64 * 10),
        ("exits", ctypes.c_uint64 * len(OUTCOMES)),
    ]


class FormatHistograms(ctypes.Structure):
    _fields_ = [("buckets", ctypes.c_uint64 * (12 * len(HISTOGRAMS))), ("sums", ctypes.c_uint64 * len(HISTOGRAMS))]


class Maps:
    """Executions entered by hand, at a time that is set by hand."""

    def __init__(self, capacity=1000):
        self.structs = {"execs": Value, "processes": Process, "exits": ExitStats, "histograms": FormatHistograms}
        self.maps = {"execs": {}, "processes": {}, "exits": {}}
        self.ids = {name: number for number, name in enumerate(self.maps)}
        self.now = self._begun = 0
        self.runs = self.lost = 0
        self.records = []
        self.program_type, self.script_hook = "tp_btf", Hook("fentry")
        self.failure_hook = Hook("tracepoint")
        self.failed = {}
        self.counts = dict.fromkeys(enum("counter"), 0)
        self.cpus = [[FormatHistograms(), FormatHistograms()] for _ in FORMATS]
        self.attached, self.bcc_version, self.missing = True, "0.26.0", ()
        self._capacity = capacity
        self.layouts, self.disabled = LAYOUTS, set()

    repairs = dict.fromkeys(OBJECTS, 0)

    def verify(self):
        """Nobody changes them."""

    def collects(self, name):
        return name not in self.disabled

    def state(self):
        return {}

    def restore(self, state):
        assert state == {}

    def execute(self, number, times=1, path=None, pid=None, introduce=True, **flags):
        """Execute the program of that number, and introduce it if it is new."""
        raw = key(file=number, **flags)
        self.runs += times
        value = self.maps["execs"].get(raw)
        if value is None and len(self.maps["execs"]) >= self._capacity:
            self.lost += times
            return
        if value is None:
            value = self.maps["execs"][raw] = Value(program=number + 1, began=self._begin())
            if introduce:
                self.introduce(number, path, **flags)
        value.executions += times
        value.last = self.now
        if pid is not None:
            self.maps["processes"][pid.to_bytes(4, "little")] = Process(self.now, number + 1)

    def introduce(self, number, path=None, **flags):
        """Introduce the program of that number."""
        raw = key(file=number, **flags)
        self.maps["execs"][raw].introduced = 1
        self.records.append(record(raw, pathname=(path or f"program-{number}").encode() + b"\0"))

    def end(self, pid, outcome=0, lifetime_us=1, bucket=0):
        process = self.maps["processes"].pop(pid.to_bytes(4, "little"))
        program = process.program.to_bytes(8, "little")
        if program not in self.maps["exits"]:
            self.maps["exits"][program] = ExitStats(began=self._begin())
        life = self.maps["exits"][program]
        life.exits[outcome] += 1
        life.lifetime_us += lifetime_us
        life.lifetimes[bucket] += 1

    def _begin(self):
        self._begun = max(self._begun + 1, self.now)
        return self._begun

    pinned = False

    def map_id(self, name):
        return self.ids[name]

    def entries(self, name):
        return [(raw, bytes(value)) for raw, value in self.maps[name].items()]

    def take(self, name, raw):
        value = self.maps[name].pop(raw, None)
        return None if value is None else bytes(value)

    def capacity(self, _):
        return self._capacity

    def receive(self, take):
        taken, self.records = self.records, []
        for one in taken:
            take(one)

    def failures(self):
        return self.failed

    def counters(self):
        return self.counts

    def histograms(self):
        return [[bytes(cpu) for cpu in cpus] for cpus in self.cpus]

    def run_seconds(self):
        return {"exec": 1.5, "exit": 0.25, "fork": 0.0}


def pipeline_of(maps, limit=1000, idle_seconds=0, rules=NO_RULES, seeds=None, **options):
    """Return the real pipeline over these maps, with their clock."""
    series = SeriesOptions(limit, idle_seconds, rules)
    clock = Clock(boot_ns=lambda: maps.now, wall_ns=lambda: 1000 * SECOND + maps.now)
    return Pipeline(maps, series, seeds=seeds or {}, clock=clock, **options)


def family(pipeline, metric):
    """Return the rows of a metric in a scrape of its collector."""
    families = (family for collect in pipeline.collectors.values() for family in collect())
    return next(dict(family.rows) for family in families if getattr(family, "metric", None) is metric)
