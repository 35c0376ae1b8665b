"""Judge an executed file: known, learnt, or a finding. Record it in the catalogue."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from exporter.catalogue.catalogue import FOUND, HOST_SCOPE, LEARNT, Catalogue, Known
from exporter.catalogue.finding import NEVER_LEARNT, QUIET, Finding, Reason, content_key
from exporter.escape import escape, shortened
from exporter.events.decode import Identity
from exporter.novelty.classify import Seen, classify
from exporter.novelty.executed_file import ExecutedFile
from exporter.novelty.file_content import Content


@dataclass(frozen=True)
class Judgement:
    """Number of the program in the catalogue; a reason if it is to be counted, a finding if it is to be reported.

    `pending`: to be judged again, as the file may be removed soon. `program` is None until then if that decides.
    """

    program: int | None
    reason: Reason | None = None
    finding: Finding | None = None
    pending: bool = False


@dataclass(frozen=True)
class Policy:
    """Settings that apply to every judgement.

    `installed` are packages whose programs are known. `is_gone` returns true for a file whose name was removed,
    `is_replaced` for one whose name another file has. `fold` returns the path label under which a program is known: one
    place for many directories with names of their own. `fold_builds` does the same for names that builds make up.
    `waits`: files that may be removed soon can be judged again later.
    """

    learning: bool
    installed: Collection[str]
    is_gone: Callable[[Content], bool]
    fold: Callable[[str], str] = str
    is_replaced: Callable[[Content], bool] = lambda _: False
    fold_builds: Callable[[str], str] = str
    waits: bool = False


def judge(catalogue: Catalogue, content: Content, now: float, policy: Policy) -> Judgement:
    """Judge a file, in a transaction; `now` is in seconds since the epoch. Raise sqlite3.Error."""
    verdict = _judge(catalogue, content, now, policy)
    temporary = _temporary(content, policy) if policy.learning and verdict.finding is None else None
    if temporary is None:
        return verdict
    if _is_removed(content, policy):
        catalogue.remember(temporary, b"", LEARNT, now)
        return verdict
    path = content.executed.path
    return replace(verdict, pending=policy.waits and policy.fold_builds(path) != path)


def _judge(catalogue: Catalogue, content: Content, now: float, policy: Policy) -> Judgement:
    executed = content.executed
    number = catalogue.program_of(executed.identity)
    if number is not None:
        return Judgement(number)
    contained = content_key(content.digest, content.size)
    path, known = _known(catalogue, content, contained, policy)
    seen = _seen(content, policy.installed)
    reason = classify(seen, known)
    quiet = reason is None or reason in QUIET
    learnt = policy.learning and not quiet and reason not in NEVER_LEARNT and not gives_rights_away(content)
    if not quiet and not learnt and reason not in NEVER_LEARNT:
        temporary = _temporary(content, policy)
        if temporary and catalogue.is_learnt(temporary):
            if _is_removed(content, policy):
                return Judgement(catalogue.remember(temporary, b"", LEARNT, now), Reason.TEMPORARY)
            if policy.waits:
                return Judgement(None, pending=True)
    if not quiet and not learnt and policy.is_gone(content):
        reason = classify(replace(seen, gone=True), known)
    origin = LEARNT if quiet or learnt else FOUND
    file, size, scope = _lasting(executed), content.size, executed.scope
    number = catalogue.remember(path, contained, origin, now, file, size, scope, learning=policy.learning)
    if quiet or learnt:
        return Judgement(number, None if learnt else reason)
    assert reason  # noqa: S101 - else it is quiet
    place = path if path != executed.path else ""
    finding = Finding(reason, executed.path, executed.interpreter, contained, now, now, 1, content.package, place)
    return Judgement(number, reason, finding)


def _temporary(content: Content, policy: Policy) -> str | None:
    """Return the catalogue's path for programs that this user executes and removes here; None if this cannot be one.

    Files of packages stay, setuid files have the rights of others, and a container's uids need not be the host's.
    """
    executed = content.executed
    lasts = executed.setuid or executed.upper_layer or content.package or executed.scope != HOST_SCOPE
    if lasts or executed.user is None or not executed.path.startswith("/"):
        return None
    return shortened(f"[removed by {executed.user}]{policy.fold_builds(executed.path)}")


def _is_removed(content: Content, policy: Policy) -> bool:
    return policy.is_gone(content) or policy.is_replaced(content)


def _known(catalogue: Catalogue, content: Content, contained: bytes, policy: Policy) -> tuple[str, Known]:
    """Return the path under which the program is or would be known, and the state of the catalogue regarding it."""
    executed = content.executed
    paths = [executed.path]
    if executed.deleted and executed.name:
        paths.append(shortened(escape(executed.name)))  # an updated program that executes its own old file
    places = [_place(path, content, policy.fold) for path in paths]
    place, names = places[0], dict.fromkeys((*places, *paths))  # programs may have been learnt before the rules
    of = contained, content.size, executed.identity, executed.scope
    found = {name: catalogue.known(name, *of, learning=policy.learning) for name in names}
    for name, known in found.items():
        if known.program:
            return name, known
    # the files of many directories are in a place that folds them: another one is no change
    return place, found[place] if place == executed.path else replace(found[place], path=False)


def place_of(content: Content, fold: Callable[[str], str]) -> str:
    """Return the path under which a program is known: as rules fold it, if the content tells programs there apart."""
    return _place(content.executed.path, content, fold)


def _place(path: str, content: Content, fold: Callable[[str], str]) -> str:
    return path if content.digest is None else shortened(fold(path))


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
