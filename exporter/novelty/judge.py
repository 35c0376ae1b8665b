"""Judges one file that was executed: known, learnt, or a finding. Writes down what it was."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from exporter.catalogue.catalogue import FOUND, LEARNT, SEEDED, Catalogue, Known
from exporter.catalogue.finding import NEVER_LEARNT, QUIET, Finding, Reason, content_key
from exporter.escape import escape
from exporter.events.decode import Identity
from exporter.novelty.classify import Seen, classify
from exporter.novelty.executed_file import ExecutedFile
from exporter.novelty.file_content import Content


@dataclass(frozen=True)
class Judgement:
    """The program's number in the catalogue, and what there is to report: a quiet reason, a finding, or nothing."""

    program: int
    reason: Reason | None = None
    finding: Finding | None = None


@dataclass(frozen=True)
class Policy:
    """What is the same for all. `learning` is whether it learns; `installed` are packages whose programs are known.

    `is_gone` is asked only of what would be a finding.
    """

    learning: bool
    installed: Collection[str]
    is_gone: Callable[[Content], bool]


def judge(catalogue: Catalogue, content: Content, now: float, policy: Policy) -> Judgement:
    """In a transaction. `now` is in seconds since the epoch."""
    executed = content.executed
    number = catalogue.program_of(executed.identity)
    if number is not None:
        return Judgement(number)
    contained = content_key(content.digest, content.size)
    path, known = _known(catalogue, content, contained)
    seen = _seen(content, policy.installed)
    reason = classify(seen, known)
    quiet = reason is None or reason in QUIET
    learnt = policy.learning and not quiet and reason not in NEVER_LEARNT and not _gives_rights_away(content)
    if not quiet and not learnt and policy.is_gone(content):
        reason = classify(replace(seen, gone=True), known)
    number = catalogue.remember(path, contained, LEARNT if quiet or learnt else FOUND, now, _lasting(executed))
    if quiet or learnt:
        return Judgement(number, None if learnt else reason)
    assert reason  # noqa: S101 - else it is quiet
    return Judgement(
        number,
        reason,
        Finding(reason, executed.path, executed.interpreter, contained, now, now, package=content.package),
    )


def _known(catalogue: Catalogue, content: Content, contained: bytes) -> tuple[str, Known]:
    """The path by which the program is known, or would be, and what is known of it."""
    executed = content.executed
    known = catalogue.known(executed.path, contained, content.size, executed.identity)
    if executed.deleted and executed.name and not known.program:
        # a program that was updated, and executes what it still is
        path = escape(executed.name)
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


def _gives_rights_away(content: Content) -> bool:
    """Whether it is setuid where everybody may put a file."""
    return content.executed.setuid and content.writable_directory


def _lasting(executed: ExecutedFile) -> Identity | None:
    """The file, if it can come back: one in memory, or without a name, is another one each time."""
    return None if executed.memfd or executed.deleted else executed.identity


def seed(catalogue: Catalogue, content: Content, now: float, reads: bool) -> None:
    """Takes in a program that is running already. What should have been read and could not be is left out."""
    if (content.digest is None and reads) or _gives_rights_away(content):
        return
    catalogue.remember(content.executed.path, content_key(content.digest, content.size), SEEDED, now)
