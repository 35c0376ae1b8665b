"""`exec_exporter findings`: list, show, accept and forget novel binaries while the service runs.

Printed strings are label values or escaped like them: a terminal obeys nothing in them.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

from exporter.catalogue.acceptance import Acceptance, accepted_by, check, expiry
from exporter.catalogue.catalogue import Catalogue
from exporter.catalogue.finding import Finding
from exporter.commands.open_catalogue import acceptances, add_catalogue_path, opened
from exporter.commands.printing import plain, print_table, utc
from exporter.config.argument_types import Parser
from exporter.errors import USAGE, ExporterError
from exporter.events.event_fields import FIELDS

SELECTORS = ("path", "package", "hash")


def parser() -> argparse.ArgumentParser:
    """Return the parser of all flags."""
    parser = Parser(
        prog="exec_exporter findings",
        description="Novel binaries: programs executed on this host for the first time.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="list|show|accept|forget|acceptances")
    listing = commands.add_parser("list", help="list open findings, newest first")
    listing.add_argument("--all", action="store_true", help="list accepted findings too")
    show = commands.add_parser("show", help="show a finding with its execution and the package of its file")
    show.add_argument("id", metavar="ID", help="the finding's id, or a unique beginning of it")
    accept = commands.add_parser(
        "accept",
        help="close findings, and future ones like them",
        description="Accepted findings do not alert.",
    )
    accept.add_argument("--reason", required=True, metavar="TEXT", help="the reason, for later readers")
    accept.add_argument("--expires", metavar="WHEN", help="a date, until the end of that day in UTC, or a time")
    forget = commands.add_parser(
        "forget",
        help="forget findings, or withdraw acceptances",
        description="A forgotten finding is reported again when its program is executed again.",
    )
    for command, verb in ((accept, "accept"), (forget, "stop accepting")):
        command.add_argument("ids", nargs="*", metavar="ID", help="findings by id, or by a unique beginning of it")
        command.add_argument("--path", metavar="GLOB", help=f"{verb} findings whose path matches; * matches / too")
        command.add_argument("--package", metavar="GLOB", help=f"{verb} files of matching packages; * matches all")
        command.add_argument("--hash", metavar="SHA256", help=f"{verb} files with this content, at any path")
    acceptances = commands.add_parser("acceptances", help="list acceptances")
    for command in (listing, show, acceptances):
        command.add_argument("--json", action="store_true", help="print JSON")
    for command in (listing, show, accept, forget, acceptances):
        add_catalogue_path(command)
    return parser


def run(arguments: list[str]) -> None:
    """Run the command. Raise ExporterError."""
    options = parser().parse_args(arguments)
    commands: dict[str, Callable[[Catalogue, argparse.Namespace], None]] = {
        "list": _list,
        "show": _show,
        "accept": _accept,
        "forget": _forget,
        "acceptances": _acceptances,
    }
    with opened(options.catalogue_path, writing=options.command in ("accept", "forget")) as catalogue:
        commands[options.command](catalogue, options)


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
        (finding.id, utc(finding.first_seen), str(finding.reason), "accepted" if by else "open", _path(finding))
        for finding, by in shown
    ]
    print_table(table)


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
        ("status", f"accepted by {_acceptance_text(by)}" if by else "open"),
        ("path", finding.path),
        ("interpreter", finding.interpreter or "-"),
        ("sha256", finding.hash or "unknown"),
        ("package", f"{package.package} ({package.manager}), digest {package.digest}" if package else "none"),
        ("first seen", utc(finding.first_seen)),
        ("last seen", utc(finding.last_seen)),
        ("sightings", str(finding.sightings)),
    ]
    print_table(lines)
    print("\nthe execution:")
    why = record.pop("unavailable", {})
    names = [*FIELDS, *(name for name in record if name not in FIELDS)]
    print_table([(f"  {name}", _value(name, record, why)) for name in names])


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
        raise ExporterError(f"--expires={options.expires} is in the past", "give a later time", status=USAGE)
    with catalogue.transaction():
        found = [find(catalogue, prefix) for prefix in options.ids]
        chosen += [("id", finding.id) for finding in found]
        if not chosen:
            raise ExporterError("nothing to accept", "name findings by id, --path, --package or --hash", status=USAGE)
        before = acceptances(catalogue)
        new = [Acceptance(kind, pattern, options.reason, expires) for kind, pattern in chosen]
        for acceptance in new:
            catalogue.accept(acceptance, now)
        closed = 0
        for finding in list(catalogue.findings()):
            if accepted_by(new, finding.acceptance_subject, now):
                catalogue.adopt(finding.known_as, finding.content)
                closed += not accepted_by(before, finding.acceptance_subject, now)
    for acceptance in new:
        print(f"accepted {plain(str(acceptance))}")
    print(f"{closed} open finding{'' if closed == 1 else 's'} closed")


def _forget(catalogue: Catalogue, options: argparse.Namespace) -> None:
    chosen = [Acceptance(kind, getattr(options, kind)) for kind in SELECTORS if getattr(options, kind) is not None]
    if not chosen and not options.ids:
        raise ExporterError("nothing to forget", "name findings by id, --path, --package or --hash", status=USAGE)
    with catalogue.transaction():
        forgotten = [find(catalogue, prefix) for prefix in options.ids]
        for finding in forgotten:
            catalogue.forget(finding)
            catalogue.withdraw(Acceptance("id", finding.id))
        for acceptance in chosen:
            if not catalogue.withdraw(acceptance):
                raise ExporterError(f"there is no acceptance {acceptance}", "see exec_exporter findings acceptances")
    for finding in forgotten:
        print(f"forgot {finding.id} {finding.path}")
    for acceptance in chosen:
        print(f"withdrew {plain(str(acceptance))}")


def _acceptances(catalogue: Catalogue, options: argparse.Namespace) -> None:
    rows = acceptances(catalogue)
    if options.json:
        print(json.dumps([_acceptance_json(acceptance) for acceptance in rows], indent=2))
    elif not rows:
        print("no acceptances")
    else:
        table = [("KIND", "PATTERN", "EXPIRES", "REASON")]
        for row in rows:
            expires = "never" if row.expires is None else utc(row.expires)
            table.append((row.kind, plain(row.pattern), expires, plain(row.reason)))
        print_table(table)


def find(catalogue: Catalogue, prefix: str) -> Finding:
    """Return the finding whose id begins with `prefix`. Raise ExporterError if none does, or several do."""
    if not prefix or not set(prefix) <= set("0123456789abcdef"):
        raise ExporterError(f"{prefix!r} is not a finding's id", "see exec_exporter findings list --all", status=USAGE)
    found = list(catalogue.findings(prefix))
    if len(found) != 1:
        problem = f"{len(found)} ids begin with {prefix}" if found else f"there is no finding {prefix}"
        raise ExporterError(problem, "see exec_exporter findings list --all")
    return found[0]


def _as_json(finding: Finding, by: Acceptance | None) -> dict[str, Any]:
    return {
        **finding.as_json(),
        "status": "accepted" if by else "open",
        "accepted_by": _acceptance_json(by) if by else None,
    }


def _acceptance_json(acceptance: Acceptance) -> dict[str, Any]:
    fields = {name: getattr(acceptance, name) for name in ("kind", "pattern", "reason", "expires")}
    return {**fields, "from": "file" if acceptance.number is None else "catalogue"}


def _acceptance_text(by: Acceptance) -> str:
    until = "" if by.expires is None else f" until {utc(by.expires)}"
    return f"{plain(str(by))}{until}: {plain(by.reason)}"


def _path(finding: Finding) -> str:
    return f"{finding.path} ({finding.interpreter})" if finding.interpreter else finding.path


def _value(name: str, record: dict[str, Any], why: dict[str, str]) -> str:
    value = record.get(name)
    if value is None:
        return f"- ({why[name]})" if name in why else "-"
    return value if isinstance(value, str) else json.dumps(value)
