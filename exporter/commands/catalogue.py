"""`exec_exporter catalogue export|import|backup`: transfer the baseline of one host to another; copy the catalogue."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from exporter.catalogue import baseline_file, learning
from exporter.catalogue.acceptance import accepted_by
from exporter.catalogue.baseline_file import BadBaseline
from exporter.catalogue.catalogue import IMPORTED, Catalogue
from exporter.catalogue.finding import digest_of
from exporter.commands.open_catalogue import acceptances, add_catalogue_path, opened
from exporter.config.argument_types import Parser
from exporter.errors import USAGE, ExporterError


def parser() -> argparse.ArgumentParser:
    """Return the parser of all flags."""
    parser = Parser(
        prog="exec_exporter catalogue",
        description="Transfer what one host has learnt to another, or back it up. Works while the service runs.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="export|import|backup")
    export = commands.add_parser(
        "export",
        help="write the baseline: programs learnt or accepted, by path and SHA-256",
        description="Programs with open findings or unknown content are left out.",
    )
    import_ = commands.add_parser(
        "import",
        help="import a baseline: its programs count as learnt",
        description="If learning had ended on the exporting host, it ends on this host too.",
    )
    backup = commands.add_parser(
        "backup",
        help="copy the catalogue: all of it, with findings, acceptances and progress of learning",
        description="To restore a backup, stop the service, remove the catalogue's files and put it in their place.",
    )
    backup.add_argument("file", metavar="FILE", type=Path, help="a new file")
    export.add_argument("file", nargs="?", default="-", metavar="FILE", help="default: standard output")
    import_.add_argument("file", nargs="?", default="-", metavar="FILE", help="default: standard input")
    for command in (export, import_, backup):
        add_catalogue_path(command)
    return parser


def run(arguments: list[str]) -> None:
    """Run the command. Raise ExporterError."""
    options = parser().parse_args(arguments)
    {"export": _export, "import": _import, "backup": _backup}[options.command](options)


def _export(options: argparse.Namespace) -> None:
    with opened(options.catalogue_path, writing=False) as catalogue:
        programs = list(baseline(catalogue, time.time()))
        left_out = catalogue.count("programs") - len(programs)
        learnt = catalogue.get(learning.OVER) is not None
    with _file(options.file, "wb") as file:
        for line in baseline_file.dump(programs, learnt):
            file.write(line)
    state = "" if learnt else "; this host is still learning"
    print(f"{len(programs)} programs exported, {left_out} left out{state}", file=sys.stderr)


def baseline(catalogue: Catalogue, now: float) -> Iterator[tuple[str, bytes]]:
    """Yield path and content of the programs that were learnt or accepted and whose SHA-256 is known."""
    accepted = acceptances(catalogue)
    accepted_findings = {
        (finding.known_as, finding.content)
        for finding in catalogue.findings()
        if accepted_by(accepted, finding.acceptance_subject, now) is not None
    }
    for path, content, learnt in catalogue.programs():
        if digest_of(content) and (learnt or (path, content) in accepted_findings):
            yield path, content


def _import(options: argparse.Namespace) -> None:
    try:
        with _file(options.file, "rb") as file:
            imported = baseline_file.load(file)
    except BadBaseline as error:
        raise ExporterError(f"{options.file}: {error}", "export the baseline again", status=USAGE) from error
    now = time.time()
    with opened(options.catalogue_path, create=True) as catalogue, catalogue.transaction():
        before = catalogue.count("programs")
        findings = {(finding.known_as, finding.content): finding for finding in catalogue.findings()}
        for path, content in imported.programs:
            catalogue.remember(path, content, IMPORTED, now)
            catalogue.adopt(path, content)
            if (path, content) in findings:
                catalogue.drop_finding(findings[path, content])
        if imported.learnt and catalogue.get(learning.OVER) is None:
            learning.end(catalogue, now)
        new, learnt = catalogue.count("programs") - before, catalogue.get(learning.OVER) is not None
    state = "learning is over" if learnt else "still learning"
    print(f"{len(imported.programs)} programs imported, {new} of them new; {state}", file=sys.stderr)


def _backup(options: argparse.Namespace) -> None:
    with opened(options.catalogue_path, writing=False) as catalogue:
        try:
            os.close(os.open(options.file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        except OSError as error:
            raise ExporterError(f"{options.file}: {error.strerror}", "give a new file", status=USAGE) from error
        catalogue.back_up(options.file)
        print(f"{catalogue.count('programs')} programs and {catalogue.count('findings')} findings", file=sys.stderr)


@contextlib.contextmanager
def _file(name: str, mode: str) -> Iterator[IO[bytes]]:
    try:
        if name == "-":
            yield (sys.stdout if "w" in mode else sys.stdin).buffer
        else:
            with Path(name).open(mode) as file:
                yield file
    except OSError as error:
        raise ExporterError(f"{name}: {error.strerror}", "give another file") from error
