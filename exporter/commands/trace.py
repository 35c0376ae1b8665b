"""`exec_exporter trace`: print every execution, to look behind a series. Runs beside the service.

The kernel sends each execution with all its fields, which costs two to three times as much as counting it.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from exporter.config.argument_types import Parser, number
from exporter.config.options import add_flag, add_flags, flag, options_of
from exporter.config.resolve import Formatter, resolve
from exporter.errors import USAGE, ExporterError, attempt
from exporter.events.decode import DecodeError, Decoder
from exporter.events.event_fields import lacks_cgroup, not_asked, unavailable
from exporter.events.event_json import as_json
from exporter.events.flags import RecordOptions, add_record_flags
from exporter.host.clocks import boot_time_ns
from exporter.kernel import preflight
from exporter.probe.flags import ProbeOptions
from exporter.probe.program import LoadedProbe, ProbeSettings, load_tracer
from exporter.streams import ReaderGone


@dataclass(frozen=True)
class TraceOptions:
    """Values of the flags; None: no filter, no limit."""

    probe: ProbeOptions
    record: RecordOptions
    format: str = flag("--format", "format of the lines", "json", choices=("json", "text"))
    path: str | None = flag("--path", "only programs whose path label matches", metavar="GLOB")
    pid: int | None = flag("--pid", "only this process", type=number(1, 1 << 22))
    uid: int | None = flag("--uid", "only processes of this user", type=number(0, (1 << 32) - 1))
    cgroup: str | None = flag("--cgroup", "only processes of this cgroup (v2)", metavar="ID|DIRECTORY")
    count: int | None = flag("--count", "stop after this many lines", type=number(1, 1 << 62))

    @property
    def settings(self) -> ProbeSettings:
        """Return the settings of the probe."""
        return ProbeSettings(**vars(self.probe), **self.record.sizes)


def parser() -> argparse.ArgumentParser:
    """Return the parser of all flags."""
    parser = Parser(
        prog="exec_exporter trace",
        description="Print every execution, one per line, until Ctrl-C. Times are in ns since the epoch.",
        epilog="Arguments and environments hold secrets, so they are recorded only on request."
        " At the end, the number of executions that did not fit into the ring buffer is printed to standard error.",
        formatter_class=Formatter,
        allow_abbrev=False,
    )
    add_flags(parser, "output", TraceOptions)
    add_record_flags(parser)
    add_flag(parser, ProbeOptions, "ring_buffer_pages", default=2048)
    add_flag(parser, ProbeOptions, "cache_path")
    return parser


def parse(arguments: list[str], environment: Mapping[str, str] = os.environ) -> TraceOptions:
    """Parse the arguments of the command. Raise ExporterError for invalid ones."""
    values, _ = resolve(parser(), arguments, environment)
    probe, record = options_of(ProbeOptions, values), options_of(RecordOptions, values)
    return options_of(TraceOptions, values, probe=probe, record=record)


def run(arguments: list[str]) -> None:
    """Run the command. Raise ExporterError."""
    options = parse(arguments)
    wanted = _filter(options)
    preflight.check()
    with attempt("load and attach the probe"), closing(load_tracer(options.settings)) as tracer:
        stopped: list[int] = []

        def stop(received: int, _frame: object) -> None:
            stopped.append(received)
            tracer.interrupt()

        for signal_number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signal_number, stop)
        tracer.attach()
        print("tracing executions until Ctrl-C", file=sys.stderr, flush=True)
        printed = _print(filter(wanted, _records(tracer, options, stopped)), options)
        tracer.detach()
        counters = tracer.counters()
    lost = counters["COUNTER_RECORDS_REFUSED"] + counters["COUNTER_LOST_PREEMPTED"]
    print(f"{counters['COUNTER_PROBE_RUNS']} executions seen, {printed} printed, {lost} lost", file=sys.stderr)


def _records(tracer: LoadedProbe, options: TraceOptions, stopped: list[int]) -> Iterator[dict[str, Any]]:
    """Yield a record per execution until `stopped` is not empty; then those that are still in the ring buffer."""
    decoder = Decoder(tracer.layouts)
    not_recorded = not_asked(options.record.argv_bytes, options.record.env)
    missing = {**not_recorded, **unavailable(tracer.missing), **lacks_cgroup()}
    last = False
    while not last:
        tracer.wait(1.0)
        if stopped:
            tracer.detach()
            last = True
        boot_time = boot_time_ns()
        for raw in tracer.introductions():
            try:
                introduction = decoder.introduction(raw)
                key = decoder.key(introduction.key)
            except DecodeError as error:
                print(f"exec_exporter trace: {error}", file=sys.stderr)
                continue
            yield as_json(key, introduction, missing, boot_time_ns=boot_time, env=options.record.env)


def _print(records: Iterable[dict[str, Any]], options: TraceOptions) -> int:
    """Print records, at most `options.count`; return the number printed."""
    printed = 0
    line = json.dumps if options.format == "json" else as_text
    with suppress(ReaderGone):
        for record in records:
            print(line(record), flush=True)
            printed += 1
            if printed == options.count:
                break
    return printed


def as_text(record: dict[str, Any]) -> str:
    """Return a line for people: time, pid, ppid, uid, stdin, path, interpreter and, if recorded, arguments."""
    moment = datetime.fromtimestamp(record["time"] / 1e9, UTC).strftime("%H:%M:%S.%f")[:-3]
    flags = [name for name in ("memfd", "deleted", "disconnected", "invoked_from_kernel") if record[name]]
    parts = [
        f"{moment} {record['pid']:>7} {record['ppid'] or '-':>7} {record['uid']:>5} {record['stdin_type']:<9}",
        record["path"],
        f"({record['interpreter']})" if record["interpreter"] else "",
        json.dumps(record["argv"], ensure_ascii=False) if record["argv"] else "",
        f"[{' '.join(flags)}]" if flags else "",
    ]
    return " ".join(filter(None, parts))


def _filter(options: TraceOptions) -> Callable[[dict[str, Any]], bool]:
    exact = {"pid": options.pid, "uid": options.uid, "cgroup": _cgroup_id(options.cgroup)}
    exact = {field: value for field, value in exact.items() if value is not None}
    glob = options.path

    def wanted(record: dict[str, Any]) -> bool:
        if any(record[field] != value for field, value in exact.items()):
            return False
        return glob is None or fnmatch.fnmatchcase(record["path"], glob)

    return wanted


def _cgroup_id(text: str | None) -> int | None:
    """Return the id of a cgroup, given as such or as its directory: the directory's inode number."""
    if text is None or text.isdecimal():
        return None if text is None else int(text)
    try:
        return os.stat(text).st_ino  # noqa: PTH116 - one call, one number
    except OSError as error:
        raise ExporterError(
            f"--cgroup={text} cannot be read ({error.strerror})", "give a cgroup's id or its directory", status=USAGE
        ) from error
