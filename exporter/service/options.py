"""The command line of the service: the options of all rooms, joined."""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from exporter import __version__
from exporter.collectors.flags import SeriesOptions, add_collector_flags, enabled_collectors
from exporter.config.argument_types import Parser, optional_file
from exporter.config.options import add_flags, flag, options_of
from exporter.config.resolve import Formatter, Setting, Settings, resolve
from exporter.events.flags import RecordOptions, add_record_flags
from exporter.logs import FORMATS, LEVELS
from exporter.metrics.flags import OutputOptions
from exporter.novelty.flags import NoveltyOptions
from exporter.probe.flags import PinOptions, ProbeOptions
from exporter.probe.program import ProbeSettings
from exporter.service import config_file
from exporter.service.config_file import Config
from exporter.web.flags import WebOptions

EPILOG = """\
A flag that is not given takes its value from the environment variable in [brackets] (true or false for a switch,
commas between several values), else from --config.file, where dots may be nested keys (log: {level: debug}), else
from its default.

signals:
  SIGTERM, SIGINT       stop: detach the probe unless it is pinned, exit with status 0
  SIGHUP                reload the configuration file, and report whether all files are valid

exit status:
  0  stopped by a signal, or --check, --config.check or --once done
  1  failed: one line on standard error says why and what to do
  2  wrong usage, including an invalid configuration file

examples:
  exec_exporter --web.listen-address=127.0.0.1:10042
  exec_exporter --config.file=/etc/exec_exporter/exec_exporter.yml
  exec_exporter --web.config.file=/etc/exec_exporter/web.yml
  exec_exporter --textfile=/var/lib/prometheus/node-exporter/exec.prom
"""


@dataclass(frozen=True)
class ServiceOptions:
    """The configuration file, what to do instead of running, and how to log."""

    config_file: Path | None = flag(
        "--config.file",
        "YAML file of flags and path rules, read at the start and on SIGHUP; see docs/configuration.md",
        type=optional_file,
    )
    config_check: bool = flag(
        "--config.check",
        "check flags, environment variables and all configuration files, without privileges, and exit",
        False,
    )
    check: bool = flag(
        "--check", "compile, load and attach the probe, read it once, print what this kernel lacks, and exit", False
    )
    log_level: str = flag("--log.level", "lowest level to log", "info", choices=tuple(LEVELS))
    log_format: str = flag("--log.format", "format of log lines", "logfmt", choices=FORMATS)


@dataclass(frozen=True)
class Options:
    """The options of each room, the collectors that are on, and the command line that all are made from."""

    service: ServiceOptions
    web: WebOptions
    output: OutputOptions
    series: SeriesOptions
    collectors: frozenset[str]
    novelty: NoveltyOptions
    record: RecordOptions
    probe: ProbeOptions
    pins: PinOptions
    arguments: tuple[str, ...] = field(default=(), compare=False)

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
    version = f"exec_exporter {__version__} (python {platform.python_version()}, linux {platform.release()})"
    parser.add_argument("--version", action="version", version=version)
    add_flags(parser, "service", ServiceOptions)
    add_flags(parser, "serving", WebOptions)
    add_flags(parser, "instead of serving", OutputOptions)
    add_flags(parser, "series", SeriesOptions)
    add_collector_flags(parser)
    add_flags(parser, "novel binaries", NoveltyOptions)
    add_record_flags(parser)
    add_flags(parser, "probe", ProbeOptions, PinOptions)
    return parser


def parse(arguments: list[str], environment: Mapping[str, str] = os.environ) -> Options:
    """Return the options of a command line. Raise ExporterError for invalid ones."""
    flags, config = parser(), Config()

    def file(given: Setting) -> Settings:
        nonlocal config
        config = config_file.read(given, flags)
        return config.settings

    values, origins = resolve(flags, arguments, environment, file)
    web, output = options_of(WebOptions, values), options_of(OutputOptions, values)
    web.check(origins)
    output.check(origins)
    return Options(
        service=options_of(ServiceOptions, values),
        web=web,
        output=output,
        series=options_of(SeriesOptions, values, path_rules=config.path_rules),
        collectors=enabled_collectors(values, origins),
        novelty=options_of(NoveltyOptions, values),
        record=options_of(RecordOptions, values),
        probe=options_of(ProbeOptions, values),
        pins=options_of(PinOptions, values),
        arguments=tuple(arguments),
    )
