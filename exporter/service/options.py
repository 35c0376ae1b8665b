"""The command line of the service: the options of all rooms, joined."""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from exporter import __version__
from exporter.collectors.flags import (
    SeriesOptions,
    add_collector_flags,
    add_series_flags,
    enabled_collectors,
    series_options,
)
from exporter.config.argument_types import Parser
from exporter.config.resolve import Formatter, Setting, Settings, resolve, section
from exporter.events.flags import RecordOptions, add_record_flags, record_options
from exporter.logs import LogOptions, add_log_flags
from exporter.metrics.flags import OutputOptions, add_output_flags, output_options
from exporter.novelty.flags import NoveltyOptions, add_novelty_flags, novelty_options
from exporter.probe.flags import PinOptions, ProbeOptions, add_probe_flags, pin_options, probe_options
from exporter.probe.program import ProbeSettings
from exporter.service import config_file
from exporter.service.config_file import Config
from exporter.web.flags import WebOptions, add_web_flags, web_options

EPILOG = """\
A flag that is not given takes its value from the environment variable in [brackets] (true or false for a switch,
commas between several values), else from --config.file, where dots may be nested keys (log: {level: debug}), else
from its default.

signals:
  SIGTERM, SIGINT       stop: detach the probe unless it is pinned, exit with status 0
  SIGHUP                ignored: changed files are reloaded without it

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
    """The options of each room, the collectors that are on, and what to do instead of running."""

    web: WebOptions
    output: OutputOptions
    series: SeriesOptions
    collectors: frozenset[str]
    novelty: NoveltyOptions
    record: RecordOptions
    probe: ProbeOptions
    pins: PinOptions
    log: LogOptions
    config_file: Path | None
    config_check: bool
    check: bool

    def probe_settings(self, hash_key: bytes = b"") -> ProbeSettings:
        """Return the settings of the probe; `hash_key` is the key of its path hashes, random if empty."""
        return ProbeSettings(**vars(self.probe), **self.record.sizes, hash_key=hash_key, collect=self.collectors)


def parser() -> argparse.ArgumentParser:
    """Return the parser of all flags, with their defaults and help."""
    parser = Parser(
        prog="exec_exporter",
        description="Counts program executions in the kernel and serves them to Prometheus.\n"
        "exec_exporter trace prints each execution instead: see exec_exporter trace --help.",
        epilog=EPILOG,
        usage="%(prog)s [flags]",
        formatter_class=Formatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--config.file",
        dest="service.config_file",
        metavar="FILE",
        type=Path,
        help="YAML file of flags and path rules, read at the start; see docs/configuration.md",
    )
    parser.add_argument(
        "--config.check",
        dest="service.config_check",
        action="store_true",
        help="check flags, environment variables and all configuration files, without privileges, and exit",
    )
    parser.add_argument(
        "--check",
        dest="service.check",
        action="store_true",
        help="compile, load and attach the probe, read it once, print what this kernel lacks, and exit",
    )
    parser.add_argument(
        "--version",
        action="version",
        version=f"exec_exporter {__version__} (python {platform.python_version()}, linux {platform.release()})",
    )
    add_web_flags(parser)
    add_output_flags(parser)
    add_series_flags(parser)
    add_collector_flags(parser)
    add_novelty_flags(parser)
    add_record_flags(parser)
    add_probe_flags(parser)
    add_log_flags(parser)
    return parser


def parse(arguments: list[str], environment: Mapping[str, str] = os.environ) -> Options:
    """Return the options of a command line. Raise ExporterError for invalid ones."""
    flags, config = parser(), Config()

    def file(given: Setting) -> Settings:
        nonlocal config
        config = config_file.read(given, flags)
        return config.settings

    values, origins = resolve(flags, arguments, environment, file)
    return Options(
        web=web_options(values, origins),
        output=output_options(values, origins),
        series=series_options(values, config.path_rules),
        collectors=enabled_collectors(values, origins),
        novelty=novelty_options(values),
        record=record_options(values),
        probe=probe_options(values),
        pins=pin_options(values),
        log=LogOptions(**section(values, "log")),
        **section(values, "service"),
    )
