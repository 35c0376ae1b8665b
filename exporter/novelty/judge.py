"""Judge an executed file: known, learnt, or a finding. Record it in the catalogue."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from exporter.catalogue.catalogue import FOUND, LEARNT, Catalogue, Known
from exporter.catalogue.finding import NEVER_LEARNT, QUIET, Finding, Reason, content_key
from exporter.escape import escape, shortened
from exporter.events.decode import Identity
from exporter.novelty.classify import Seen, classify
from exporter.novelty.executed_file import ExecutedFile
from exporter.novelty.file_content import Content


@dataclass(frozen=True)
class Judgement:
    """Number of the program in the catalogue; a reason if it is to be counted, a finding if it is to be reported."""

    program: int
    reason: Reason | None = None
    finding: Finding | None = None


@dataclass(frozen=True)
class Policy:
    """Settings that apply to every judgement.

    `installed` are packages whose programs are known. `is_gone` is called only for files that would be findings.
    """

    learning: bool
    installed: Collection[str]
    is_gone: Callable[[Content], bool]


def judge(catalogue: Catalogue, content: Content, now: float, policy: Policy) -> Judgement:
    """Judge a file, in a transaction; `now` is in seconds since the epoch. Raise sqlite3.Error."""
    executed = content.executed
    number = catalogue.program_of(executed.identity)
    if number is not None:
        return Judgement(number)
    contained = content_key(content.digest, content.size)
    path, known = _known(catalogue, content, contained)
    seen = _seen(content, policy.installed)
    reason = classify(seen, known)
    quiet = reason is None or reason in QUIET
    learnt = policy.learning and not quiet and reason not in NEVER_LEARNT and not gives_rights_away(content)
    if not quiet and not learnt and policy.is_gone(content):
        reason = classify(replace(seen, gone=True), known)
    origin = LEARNT if quiet or learnt else FOUND
    number = catalogue.remember(path, contained, origin, now, _lasting(executed), content.size)
    if quiet or learnt:
        return Judgement(number, None if learnt else reason)
    assert reason  # noqa: S101 - else it is quiet
    return Judgement(
        number,
        reason,
        Finding(reason, executed.path, executed.interpreter, contained, now, now, package=content.package),
    )


def _known(catalogue: Catalogue, content: Content, contained: bytes) -> tuple[str, Known]:
    """Return the path under which the program is or would be known, and the state of the catalogue regarding it."""
    executed = content.executed
    known = catalogue.known(executed.path, contained, content.size, executed.identity)
    if executed.deleted and executed.name and not known.program:
        # an updated program that executes its own old file
        path = shortened(escape(executed.name))
        before = catalogue.known(path, contained, content.size, executed.identity)
        if before.program:
            return path, before
    return executed.path, known


def _seen(content: Content, installed: Collection[str]) -> Seen:
    executed, package = content.executed, content.package
    return Seen(
        memfd=executed.memfd,
        deleted=executed.deleted,
        upper_layer=executed.upper_layer,
        script=executed.script,
        vouched=bool(package and package.vouched),
        installed=bool(package and package.package in installed),
        maintainer_script=bool(package and package.maintainer_script),
    )


def gives_rights_away(content: Content) -> bool:
    """Return true for a setuid file in a world-writable directory."""
    return content.executed.setuid and content.writable_directory


def _lasting(executed: ExecutedFile) -> Identity | None:
    """Return the identity of a file that can be executed again: not of one in memory or without a name."""
    return None if executed.memfd or executed.deleted else executed.identity
