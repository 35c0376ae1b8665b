"""Judges one file that was executed: known, learnt, or a finding. Writes down what it was."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from exporter.catalogue.catalogue import FOUND, LEARNT, SEEDED, Store
from exporter.catalogue.finding import Finding
from exporter.catalogue.identifier import content_key
from exporter.escape import escape
from exporter.events.decode import Identity
from exporter.novelty.classify import NEVER_LEARNT, QUIET, Known, Reason, Seen, classify
from exporter.novelty.executed_file import Subject
from exporter.novelty.file_content import Content


@dataclass(frozen=True)
class Judgement:
    """The program's number in the catalogue, and what there is to report: a quiet reason, a finding, or nothing."""

    program: int
    reason: Reason | None = None
    finding: Finding | None = None


@dataclass(frozen=True)
class Court:
    """What is the same for all. `learning` is whether it learns; `installed` are packages whose programs are known.

    `is_gone` is asked only of what would be a finding.
    """

    learning: bool
    installed: Collection[str]
    is_gone: Callable[[Content], bool]


def judge(store: Store, content: Content, now: float, court: Court) -> Judgement:
    """In a transaction. `now` is in seconds since the epoch."""
    subject = content.subject
    number = store.program_of(subject.identity)
    if number is not None:
        return Judgement(number)
    contained = content_key(content.digest, content.size)
    path, known = _known(store, content, contained)
    seen = _seen(content, court.installed)
    reason = classify(seen, known)
    quiet = reason is None or reason in QUIET
    learnt = court.learning and not quiet and reason not in NEVER_LEARNT and not _gives_rights_away(content)
    if not quiet and not learnt and court.is_gone(content):
        reason = classify(replace(seen, gone=True), known)
    number = store.remember(path, contained, LEARNT if quiet or learnt else FOUND, now, _lasting(subject))
    if quiet or learnt:
        return Judgement(number, None if learnt else reason)
    assert reason  # noqa: S101 - else it is quiet
    return Judgement(
        number, reason, Finding(reason, subject.path, subject.interpreter, contained, now, now, package=content.package)
    )


def _known(store: Store, content: Content, contained: bytes) -> tuple[str, Known]:
    """The path by which the program is known, or would be, and what is known of it."""
    subject = content.subject
    known = store.known(subject.path, contained, content.size, subject.identity)
    if subject.deleted and subject.name and not known.program:
        # a program that was updated, and executes what it still is
        path = escape(subject.name)
        before = store.known(path, contained, content.size, subject.identity)
        if before.program:
            return path, before
    return subject.path, known


def _seen(content: Content, installed: Collection[str]) -> Seen:
    subject, package = content.subject, content.package
    return Seen(
        memfd=subject.memfd,
        deleted=subject.deleted,
        upper_layer=subject.upper_layer,
        script=subject.script,
        vouched=bool(package and package.vouched),
        installed=bool(package and package.package in installed),
        maintainer_script=bool(package and package.maintainer_script),
    )


def _gives_rights_away(content: Content) -> bool:
    """Whether it is setuid where everybody may put a file."""
    return content.subject.setuid and content.writable_directory


def _lasting(subject: Subject) -> Identity | None:
    """The file, if it can come back: one in memory, or without a name, is another one each time."""
    return None if subject.memfd or subject.deleted else subject.identity


def seed(store: Store, content: Content, now: float, reads: bool) -> None:
    """Takes in a program that is running already. What should have been read and could not be is left out."""
    if (content.digest is None and reads) or _gives_rights_away(content):
        return
    store.remember(content.subject.path, content_key(content.digest, content.size), SEEDED, now)
