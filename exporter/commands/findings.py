"""`exec_exporter findings`: lists, explains, accepts and forgets novel binaries, while the service runs.

What is printed is made of label values, which hold nothing that a terminal would obey.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from exporter.catalogue.acceptance import Acceptance, accepted_by, check, expiry
from exporter.catalogue.catalogue import Catalogue
from exporter.catalogue.finding import Finding
from exporter.catalogue.host_acceptances import acceptances
from exporter.commands.open_catalogue import add_catalogue_path, opened
from exporter.config.argument_types import Parser
from exporter.errors import USAGE, ExporterError
from exporter.escape import escape
from exporter.events.event_arguments import FIELDS

SELECTORS = ("path", "package", "hash")


def parser() -> argparse.ArgumentParser:
    """All flags, with their defaults and help."""
    parser = Parser(
        prog="exec_exporter findings",
        description="Novel binaries: what was executed here and had never been before.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="list|show|accept|forget|acceptances")
    listing = commands.add_parser("list", help="list the open findings, the newest first")
    listing.add_argument("--all", action="store_true", help="those that are accepted too")
    show = commands.add_parser("show", help="explain a finding: its execution, and the package of its file")
    show.add_argument("id", metavar="ID", help="or its beginning, if that is unique")
    accept = commands.add_parser(
        "accept",
        help="close findings, and further ones like them",
        description="What is accepted is no alert any more.",
    )
    accept.add_argument("--reason", required=True, metavar="TEXT", help="why, for who reads this later")
    accept.add_argument("--expires", metavar="WHEN", help="a date, to the end of that day in UTC, or a time")
    forget = commands.add_parser(
        "forget",
        help="forget findings, or take back what was accepted",
        description="A program whose finding is forgotten is found again when it is executed again.",
    )
    for one, what in ((accept, "accept"), (forget, "take back")):
        one.add_argument("ids", nargs="*", metavar="ID", help="findings, or the beginnings of their ids")
        one.add_argument("--path", metavar="GLOB", help=f"{what} every finding whose path matches; * matches / too")
        one.add_argument("--package", metavar="GLOB", help=f"{what} files that a package vouches for; * for every one")
        one.add_argument("--hash", metavar="SHA256", help=f"{what} a content, wherever it is")
    acceptances = commands.add_parser("acceptances", help="list what is accepted")
    for one in (listing, show, acceptances):
        one.add_argument("--json", action="store_true", help="for programs")
    for one in (listing, show, accept, forget, acceptances):
        add_catalogue_path(one)
    return parser


def findings(arguments: list[str]) -> None:
    """The command. Raises ExporterError."""
    options = parser().parse_args(arguments)
    commands: dict[str, Callable[[Catalogue, argparse.Namespace], None]] = {
        "list": _list,
        "show": _show,
        "accept": _accept,
        "forget": _forget,
        "acceptances": _acceptances,
    }
    try:
        with opened(options.catalogue_path) as catalogue:
            commands[options.command](catalogue, options)
        sys.stdout.flush()
    except BrokenPipeError:
        # the reader has enough; Python would say so once more when it flushes at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _list(catalogue: Catalogue, options: argparse.Namespace) -> None:
    accepted, now = acceptances(catalogue), time.time()
    rows = [(finding, accepted_by(accepted, finding.acceptance_subject, now)) for finding in catalogue.findings()]
    shown = [(finding, by) for finding, by in rows if options.all or not by]
    if options.json:
        print(json.dumps([_as_json(finding, by) for finding, by in shown], indent=2))
        return
    if not shown:
        print("no open findings" if not options.all else "no findings")
        return
    table = [("ID", "FIRST SEEN", "REASON", "STATUS", "PATH")]
    table += [
        (finding.id, _moment(finding.first_seen), str(finding.reason), "accepted" if by else "open", _path(finding))
        for finding, by in shown
    ]
    _print_table(table)


def _show(catalogue: Catalogue, options: argparse.Namespace) -> None:
    finding = find(catalogue, options.id)
    by = accepted_by(acceptances(catalogue), finding.acceptance_subject, time.time())
    record: dict[str, Any] = json.loads(catalogue.record(finding))
    if options.json:
        print(json.dumps({**_as_json(finding, by), "introduction": record}, indent=2))
        return
    package = finding.package
    lines = [
        ("id", finding.id),
        ("reason", str(finding.reason)),
        ("status", f"accepted by {_described(by)}" if by else "open"),
        ("path", finding.path),
        ("interpreter", finding.interpreter or "-"),
        ("sha256", finding.hash or "unknown"),
        ("package", f"{package.package} ({package.manager}), digest {package.digest}" if package else "none"),
        ("first seen", _moment(finding.first_seen)),
        ("last seen", _moment(finding.last_seen)),
        ("sightings", str(finding.sightings)),
    ]
    _print_table(lines)
    print("\nthe execution:")
    why = record.pop("unavailable", {})
    names = [*FIELDS, *(name for name in record if name not in FIELDS)]
    _print_table([(f"  {name}", _value(name, record, why)) for name in names])


def _accept(catalogue: Catalogue, options: argparse.Namespace) -> None:
    try:
        expires = None if options.expires is None else expiry(options.expires)
        chosen = [(kind, getattr(options, kind)) for kind in SELECTORS if getattr(options, kind) is not None]
        for kind, pattern in chosen:
            check(kind, pattern)
    except ValueError as error:
        raise ExporterError(str(error), "see exec_exporter findings accept --help", status=USAGE) from error
    now = time.time()
    if expires is not None and expires <= now:
        raise ExporterError(f"--expires={options.expires} is over", "give a later one", status=USAGE)
    with catalogue.transaction():
        found = [find(catalogue, prefix) for prefix in options.ids]
        chosen += [("id", finding.id) for finding in found]
        if not chosen:
            raise ExporterError("nothing is given to accept", "give ids, --path, --package or --hash", status=USAGE)
        before = acceptances(catalogue)
        new = [Acceptance(kind, pattern, options.reason, expires) for kind, pattern in chosen]
        for one in new:
            catalogue.accept(one, now)
        closed = 0
        for finding in list(catalogue.findings()):
            if accepted_by(new, finding.acceptance_subject, now):
                catalogue.adopt(finding.path, finding.content)
                closed += not accepted_by(before, finding.acceptance_subject, now)
    for one in new:
        print(f"accepted {_plain(str(one))}")
    print(f"{closed} open finding{'' if closed == 1 else 's'} closed")


def _forget(catalogue: Catalogue, options: argparse.Namespace) -> None:
    chosen = [Acceptance(kind, getattr(options, kind)) for kind in SELECTORS if getattr(options, kind) is not None]
    if not chosen and not options.ids:
        raise ExporterError("nothing is given to forget", "give ids, --path, --package or --hash", status=USAGE)
    with catalogue.transaction():
        for finding in [find(catalogue, prefix) for prefix in options.ids]:
            catalogue.forget(finding)
            catalogue.withdraw(Acceptance("id", finding.id))
            print(f"forgot {finding.id} {finding.path}")
        for one in chosen:
            if not catalogue.withdraw(one):
                raise ExporterError(f"nothing was accepted as {one}", "see exec_exporter findings acceptances")
            print(f"took back {_plain(str(one))}")


def _acceptances(catalogue: Catalogue, options: argparse.Namespace) -> None:
    rows = acceptances(catalogue)
    if options.json:
        print(json.dumps([_acceptance_json(one) for one in rows], indent=2))
    elif not rows:
        print("nothing is accepted")
    else:
        table = [("KIND", "PATTERN", "EXPIRES", "REASON")]
        for one in rows:
            until = "never" if one.expires is None else _moment(one.expires)
            table.append((one.kind, _plain(one.pattern), until, _plain(one.reason)))
        _print_table(table)


def find(catalogue: Catalogue, prefix: str) -> Finding:
    """The finding whose id begins so. Raises ExporterError where there is none, or more than one."""
    if not prefix or not set(prefix) <= set("0123456789abcdef"):
        raise ExporterError(f"{prefix!r} is not a finding's id", "see exec_exporter findings list --all", status=USAGE)
    found = list(catalogue.findings(prefix))
    if len(found) != 1:
        what = f"{len(found)} findings begin with {prefix}" if found else f"there is no finding {prefix}"
        raise ExporterError(what, "see exec_exporter findings list --all")
    return found[0]


def _as_json(finding: Finding, by: Acceptance | None) -> dict[str, Any]:
    return {
        **finding.as_json(),
        "status": "accepted" if by else "open",
        "accepted_by": _acceptance_json(by) if by else None,
    }


def _acceptance_json(one: Acceptance) -> dict[str, Any]:
    where = "file" if one.number is None else "catalogue"
    return {"kind": one.kind, "pattern": one.pattern, "reason": one.reason, "expires": one.expires, "from": where}


def _described(by: Acceptance) -> str:
    until = "" if by.expires is None else f" until {_moment(by.expires)}"
    return f"{_plain(str(by))}{until}: {_plain(by.reason)}"


def _path(finding: Finding) -> str:
    return f"{finding.path} ({finding.interpreter})" if finding.interpreter else finding.path


def _value(name: str, record: dict[str, Any], why: dict[str, str]) -> str:
    value = record.get(name)
    if value is None:
        return f"- ({why[name]})" if name in why else "-"
    return value if isinstance(value, str) else json.dumps(value)


def _plain(text: str) -> str:
    """Text of people and files, as harmless as label values are."""
    return escape(text.encode("utf-8", "surrogateescape"))


def _moment(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (OverflowError, ValueError, OSError):  # a clock that was set to nonsense
        return str(seconds)


def _print_table(rows: Iterable[tuple[str, ...]]) -> None:
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        sys.stdout.write("  ".join(cells).rstrip() + "\n")
