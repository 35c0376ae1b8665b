"""A baseline as a file, for another host: programs by path and content, without anything of the host itself.

Lines of JSON: a header, a program each, and an end that says how many there were and what the SHA-256 of all is.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO, Any

from exporter.escape import escape, unescape

FORMAT, VERSION = "exec_exporter catalogue", 1
MAX_LINE_BYTES = 64 << 10
MAX_PROGRAMS = 1_000_000
DIGEST = re.compile(r"[0-9a-f]{64}")


class BadBaseline(ValueError):
    """What is wrong with the file, and in which line."""


@dataclass(frozen=True)
class Baseline:
    """Programs as path, a label value, and SHA-256; `learnt` says that learning was over where it comes from."""

    programs: tuple[tuple[str, bytes], ...]
    learnt: bool


def dump(programs: Iterable[tuple[str, bytes]], learnt: bool) -> Iterator[bytes]:
    """The lines of the file."""
    digest, count = hashlib.sha256(), 0
    line = _line({"format": FORMAT, "version": VERSION, "learnt": learnt})
    digest.update(line)
    yield line
    for path, content in programs:
        line = _line({"path": path, "sha256": content.hex()})
        digest.update(line)
        count += 1
        yield line
    yield _line({"programs": count, "sha256": digest.hexdigest()})


def load(file: IO[bytes]) -> Baseline:
    """Reads and checks a file, all of it before any of it counts. Raises BadBaseline, OSError."""
    digest, number, learnt = hashlib.sha256(), 0, False
    programs: dict[tuple[str, bytes], None] = {}
    while True:
        raw = file.readline(MAX_LINE_BYTES + 1)
        number += 1
        if not raw:
            raise BadBaseline(f"line {number}: the end is missing: it is not a whole file")
        if len(raw) > MAX_LINE_BYTES:
            raise BadBaseline(f"line {number}: it is longer than {MAX_LINE_BYTES} bytes")
        said = _parse(raw, number)
        if number == 1:
            learnt = _header(said)
        elif "programs" in said:
            if said != {"programs": number - 2, "sha256": digest.hexdigest()}:
                raise BadBaseline(f"line {number}: number or checksum do not fit: the file was changed or cut")
            if file.read(1):
                raise BadBaseline(f"line {number + 1}: there is something behind the end")
            return Baseline(tuple(programs), learnt)
        else:
            if number - 1 > MAX_PROGRAMS:
                raise BadBaseline(f"it has more than {MAX_PROGRAMS} programs")
            programs[_program(said, number)] = None
        digest.update(raw)


def _line(said: dict[str, Any]) -> bytes:
    return json.dumps(said).encode("ascii") + b"\n"


def _parse(raw: bytes, number: int) -> dict[str, Any]:
    try:
        said = json.loads(raw.decode("ascii"))
    except (ValueError, RecursionError) as error:
        raise BadBaseline(f"line {number}: it is no JSON") from error
    if not isinstance(said, dict):
        raise BadBaseline(f"line {number}: it is no JSON object")
    return said


def _header(said: dict[str, Any]) -> bool:
    if said.get("format") != FORMAT:
        raise BadBaseline("line 1: it was not written by exec_exporter catalogue export")
    if said.get("version") != VERSION or not isinstance(said.get("learnt"), bool):
        raise BadBaseline(f"line 1: it is not of version {VERSION}, the only one that is known here")
    return bool(said["learnt"])


def _program(said: dict[str, Any], number: int) -> tuple[str, bytes]:
    path, digest = said.get("path"), said.get("sha256")
    if not isinstance(path, str) or not isinstance(digest, str) or set(said) != {"path", "sha256"}:
        raise BadBaseline(f"line {number}: a program has path and sha256")
    if not path or not DIGEST.fullmatch(digest):
        raise BadBaseline(f"line {number}: path or sha256 is none")
    try:
        plain = escape(unescape(path))
    except UnicodeError:
        plain = ""
    if plain != path:
        raise BadBaseline(f"line {number}: the path is not escaped as paths are")
    return path, bytes.fromhex(digest)
