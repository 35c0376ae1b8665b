"""The command line: what can be asked for, and how it is asked wrongly."""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from exporter import __version__
from exporter.collectors.executions import no_rules
from exporter.collectors.flags import add_data_flags, gather_collectors
from exporter.collectors.pipeline import SeriesSettings
from exporter.config.argument_types import Parser, number, power_of_two
from exporter.config.resolve import Formatter, Setting, Settings, settle
from exporter.logs import FORMATS, LEVELS
from exporter.metrics.path_rules import PathRules
from exporter.novelty.flags import add_novelty_flags
from exporter.probe.flags import add_pin_path
from exporter.probe.program import ProbeSettings
from exporter.service import config_file
from exporter.service.config_file import Config
from exporter.web.flags import add_web_flags, check_web_flags

EPILOG = """\
A flag that is not given has its value from the environment variable in [brackets] (true or false for a flag without a
value; commas between several values), else from --config.file, where dots may be nesting (log: {level: debug}), else
its default.

signals:
  SIGTERM, SIGINT       stop: detach the probe, end with status 0
  SIGHUP                ignored: changed web configuration is read without it

exit status:
  0  stopped by a signal, or --check, --config.check or --once done
  1  cannot run here: the line on standard error says why and what to do
  2  wrong usage, including a wrong --config.file or --web.config.file

examples:
  exec_exporter --web.listen-address=127.0.0.1:10042
  exec_exporter --config.file=/etc/exec_exporter/exec_exporter.yml
  exec_exporter --web.config.file=/etc/exec_exporter/web.yml
  exec_exporter --textfile=/var/lib/prometheus/node-exporter/exec.prom
"""


@dataclass(frozen=True)
class Options:
    """What the command line says."""

    listen_addresses: tuple[str, ...]
    systemd_socket: bool
    web_config_file: Path | None
    telemetry_path: str
    max_requests: int
    idle_seconds: int
    once: bool
    textfile: Path | None
    textfile_seconds: int
    map_entries: int
    process_entries: int
    ring_buffer_pages: int
    pin_path: str
    unpin_on_stop: bool
    log_level: str
    log_format: str
    check: bool
    config_file: Path | None
    config_check: bool
    collectors: frozenset[str]
    series_limit: int
    series_idle_seconds: float
    path_rules: PathRules
    catalogue_path: str
    catalogue_entries: int
    learning_seconds: float
    learning_packages: bool
    content_hash: bool
    content_bytes: int
    content_rate: int
    accepted_file: Path | None
    findings_series: int
    rootfs: str
    argv_bytes: int
    env: str
    env_bytes: int


def parser() -> argparse.ArgumentParser:
    """All flags, with their defaults and help."""
    parser = Parser(
        prog="exec_exporter",
        description="Counts program executions in the kernel and serves them to Prometheus.\n"
        "exec_exporter trace prints them instead: see exec_exporter trace --help.",
        epilog=EPILOG,
        usage="%(prog)s [flags]",
        formatter_class=Formatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--config.file",
        dest="config_file",
        metavar="FILE",
        type=Path,
        help="YAML file with flags and path rules; read at the start, see Configuration in the README",
    )
    parser.add_argument(
        "--config.check",
        dest="config_check",
        action="store_true",
        help="check flags, variables and the files of --config.file, --web.config.file and --findings.accepted-file,"
        " which takes no privileges, and exit",
    )
    add_web_flags(parser)
    add_data_flags(parser)
    add_novelty_flags(parser)
    parser.add_argument(
        "--bpf.map-entries",
        dest="map_entries",
        metavar="N",
        type=number(1, 1 << 24),
        default=32768,
        help="combinations of file, interpreter and standard input that can be counted; about 350 bytes of kernel"
        " memory each, and 1.5 KiB of the exporter's for each that is there (default %(default)s)",
    )
    parser.add_argument(
        "--bpf.process-entries",
        dest="process_entries",
        metavar="N",
        type=number(1, 1 << 22),
        default=32768,
        help="processes that can be followed at once; about 80 bytes of kernel memory each (default %(default)s)",
    )
    parser.add_argument(
        "--bpf.ring-buffer-pages",
        dest="ring_buffer_pages",
        metavar="N",
        type=power_of_two(1 << 16),
        default=256,
        help="size of the ring buffer for the names of new programs, in pages; a power of two (default %(default)s)",
    )
    add_pin_path(
        parser,
        "directory in a bpffs where the probe is pinned, so that it counts on while no exporter runs and the next one"
        " goes on with its counts; empty: nothing is pinned",
    )
    parser.add_argument(
        "--bpf.unpin-on-stop",
        dest="unpin_on_stop",
        action="store_true",
        help="when asked to end, remove what is pinned, as exec_exporter unpin does: counting ends",
    )
    parser.add_argument(
        "--log.level",
        dest="log_level",
        choices=tuple(LEVELS),
        default="info",
        help="least level to log (default %(default)s)",
    )
    parser.add_argument(
        "--log.format", dest="log_format", choices=FORMATS, default="logfmt", help="how to log (default %(default)s)"
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="compile, load and attach the probe, read it once, say what this kernel lacks, and exit",
    )
    parser.add_argument(
        "--version",
        action="version",
        version=f"exec_exporter {__version__} (python {platform.python_version()}, linux {platform.release()})",
    )
    return parser


def parse(arguments: list[str], environment: Mapping[str, str] = os.environ) -> Options:
    """Raises ExporterError for what cannot be meant."""
    made, config = parser(), Config()

    def file(given: Setting) -> Settings:
        nonlocal config
        config = config_file.read(given, made)
        return config.settings

    options, origins = settle(made, arguments, environment, file)
    check_web_flags(options, origins)
    options.collectors = gather_collectors(options, origins)
    return Options(**vars(options), path_rules=config.path_rules)


def probe_settings(options: Options, hash_key: bytes = b"") -> ProbeSettings:
    """Return the settings of the probe; `hash_key` is the key of its path hashes."""
    return ProbeSettings(
        executions_entries=options.map_entries,
        processes_entries=options.process_entries,
        introductions_pages=options.ring_buffer_pages,
        hash_key=hash_key,
        argv_bytes=options.argv_bytes,
        env_bytes=0 if options.env == "none" else options.env_bytes,
        collect=options.collectors,
    )


def series_settings(options: Options) -> SeriesSettings:
    """Return the settings of the series."""
    rules = options.path_rules.apply if options.path_rules else no_rules
    return SeriesSettings(options.series_limit, options.series_idle_seconds, rules)
