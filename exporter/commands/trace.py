"""`exec_exporter trace`: prints every execution, to look behind a series. It runs beside the service.

Each execution is sent from the kernel with all its fields, which costs two to three times what counting it costs.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TextIO

from exporter.config.argument_types import Parser, number
from exporter.config.resolve import Formatter, resolve, section
from exporter.errors import USAGE, ExporterError
from exporter.events.decode import DecodeError, Decoder
from exporter.events.event_arguments import lacks_cgroup, not_asked, unavailable
from exporter.events.event_json import as_json
from exporter.events.flags import RecordOptions, add_record_flags, record_options
from exporter.kernel import preflight
from exporter.probe.flags import add_ring_buffer_pages
from exporter.probe.probe import Tracer
from exporter.probe.program import ProbeSettings


@dataclass(frozen=True)
class TraceOptions:
    """What the command line says."""

    format: str
    path: str | None
    pid: int | None
    uid: int | None
    cgroup: str | None
    count: int | None
    ring_buffer_pages: int
    record: RecordOptions

    @property
    def settings(self) -> ProbeSettings:
        """What the kernel's side has to record."""
        return ProbeSettings(ring_buffer_pages=self.ring_buffer_pages, **self.record.sizes)


def parser() -> argparse.ArgumentParser:
    """All flags, with their defaults and help."""
    parser = Parser(
        prog="exec_exporter trace",
        description="Prints every execution, one a line, until Ctrl-C. Times are in ns since the epoch.",
        epilog="Arguments and environments hold secrets: they are recorded only if asked for."
        " What the ring buffer could not take is said at the end, as a number, on standard error.",
        formatter_class=Formatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--format", choices=("json", "text"), default="json", help="what to print (default %(default)s)"
    )
    parser.add_argument("--path", metavar="GLOB", help="only programs and scripts whose path label matches")
    parser.add_argument("--pid", type=number(1, 1 << 22), metavar="N", help="only this process")
    parser.add_argument("--uid", type=number(0, (1 << 32) - 1), metavar="N", help="only processes of this user")
    parser.add_argument("--cgroup", metavar="ID|DIRECTORY", help="only processes of this cgroup (v2)")
    parser.add_argument("--count", type=number(1, 1 << 62), metavar="N", help="end after so many lines")
    add_record_flags(parser)
    add_ring_buffer_pages(parser, 2048)
    return parser


def parse(arguments: list[str], environment: Mapping[str, str] = os.environ) -> TraceOptions:
    """Raises ExporterError for what cannot be meant."""
    values, _ = resolve(parser(), arguments, environment)
    own = {name: value for name, value in vars(values).items() if "." not in name}
    return TraceOptions(**own, **section(values, "probe"), record=record_options(values))


def trace(arguments: list[str]) -> None:
    """The command. Raises ExporterError."""
    options = parse(arguments)
    wanted = _filter(options)
    preflight.check()
    with closing(Tracer(options.settings)) as tracer:
        stopped: list[int] = []

        def stop(received: int, _frame: object) -> None:
            stopped.append(received)
            tracer.interrupt()

        for signal_number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signal_number, stop)
        tracer.attach()
        print("tracing executions until Ctrl-C", file=sys.stderr, flush=True)
        printed = _print(_records(tracer, options, stopped), wanted, options, sys.stdout)
        tracer.detach()
        counters = tracer.counters()
    lost = counters["COUNTER_RECORDS_REFUSED"] + counters["COUNTER_LOST_PREEMPTED"]
    print(f"{counters['COUNTER_PROBE_RUNS']} executions seen, {printed} printed, {lost} lost", file=sys.stderr)


def _records(tracer: Tracer, options: TraceOptions, stopped: list[int]) -> Iterator[dict[str, Any]]:
    """Every execution, until told to stop; then what has come before that."""
    decoder = Decoder(tracer.layouts)
    not_recorded = not_asked(options.record.argv_bytes, options.record.env)
    lacking = {**not_recorded, **unavailable(tracer.missing), **lacks_cgroup()}
    boot_time = time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    last = False
    while not last:
        tracer.wait(1.0)
        if stopped:
            tracer.detach()
            last = True
        for raw in tracer.introductions():
            try:
                introduction = decoder.introduction(raw)
                key = decoder.key(introduction.key)
            except DecodeError as error:
                print(f"exec_exporter trace: {error}", file=sys.stderr)
                continue
            yield as_json(key, introduction, lacking, boot_time_ns=boot_time, env=options.record.env)


def _print(
    records: Iterator[dict[str, Any]], wanted: Callable[[dict[str, Any]], bool], options: TraceOptions, out: TextIO
) -> int:
    printed = 0
    line = json.dumps if options.format == "json" else as_text
    try:
        for record in records:
            if not wanted(record):
                continue
            print(line(record), file=out, flush=True)
            printed += 1
            if printed == options.count:
                break
    except BrokenPipeError:
        # The reader has enough; Python would say so once more when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())
    return printed


def as_text(record: dict[str, Any]) -> str:
    """A record for people: time, pid, ppid, uid, stdin, path, interpreter and, if recorded, arguments."""
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
    asked = {field: value for field, value in exact.items() if value is not None}
    glob = options.path

    def wanted(record: dict[str, Any]) -> bool:
        if any(record[field] != value for field, value in asked.items()):
            return False
        return glob is None or fnmatch.fnmatchcase(record["path"], glob)

    return wanted


def _cgroup_id(text: str | None) -> int | None:
    """A cgroup's id as the kernel numbers them: the inode number of its directory."""
    if text is None or text.isdecimal():
        return None if text is None else int(text)
    try:
        return os.stat(text).st_ino  # noqa: PTH116 - one call, one number
    except OSError as error:
        raise ExporterError(
            f"--cgroup={text} is not there ({error.strerror})", "give a cgroup's id or its directory", status=USAGE
        ) from error
