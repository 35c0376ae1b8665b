"""The baseline as a file for other hosts: programs by path and content, and nothing else about the host.

The file has lines of JSON: a header, the programs, and a trailer with their number and the SHA-256 of all lines before.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO, Any

from exporter.escape import is_label, shortened

FORMAT, VERSION = "exec_exporter catalogue", 1
MAX_LINE_BYTES = 64 << 10
MAX_PROGRAMS = 1_000_000
DIGEST = re.compile(r"[0-9a-f]{64}")


class BadBaseline(ValueError):
    """The file is wrong; the message has the line and the error."""


@dataclass(frozen=True)
class Baseline:
    """Programs as path, a label value, and SHA-256. It is `learnt` if learning had ended on the host it is from."""

    programs: tuple[tuple[str, bytes], ...]
    learnt: bool


def dump(programs: Iterable[tuple[str, bytes]], learnt: bool) -> Iterator[bytes]:
    """Yield the lines of the file."""
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
    """Return the baseline of a file that is valid as a whole. Raise BadBaseline, OSError."""
    digest, number, learnt = hashlib.sha256(), 0, False
    programs: dict[tuple[str, bytes], None] = {}
    while True:
        raw = file.readline(MAX_LINE_BYTES + 1)
        number += 1
        if not raw:
            raise BadBaseline(f"line {number}: the trailer is missing: the file is incomplete")
        if len(raw) > MAX_LINE_BYTES:
            raise BadBaseline(f"line {number}: longer than {MAX_LINE_BYTES} bytes")
        fields = _parse(raw, number)
        if number == 1:
            learnt = _header(fields)
        elif "programs" in fields:
            if fields != {"programs": number - 2, "sha256": digest.hexdigest()}:
                raise BadBaseline(f"line {number}: number or checksum differ: the file was changed or cut")
            if file.read(1):
                raise BadBaseline(f"line {number + 1}: there is data after the trailer")
            return Baseline(tuple(programs), learnt)
        else:
            if number - 1 > MAX_PROGRAMS:
                raise BadBaseline(f"more than {MAX_PROGRAMS} programs")
            programs[_program(fields, number)] = None
        digest.update(raw)


def _line(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields).encode("ascii") + b"\n"


def _parse(raw: bytes, number: int) -> dict[str, Any]:
    try:
        fields = json.loads(raw.decode("ascii"))
    except (ValueError, RecursionError) as error:
        raise BadBaseline(f"line {number}: not JSON") from error
    if not isinstance(fields, dict):
        raise BadBaseline(f"line {number}: not a JSON object")
    return fields


def _header(fields: dict[str, Any]) -> bool:
    if fields.get("format") != FORMAT:
        raise BadBaseline("line 1: not written by exec_exporter catalogue export")
    if fields.get("version") != VERSION or not isinstance(fields.get("learnt"), bool):
        raise BadBaseline(f"line 1: not of version {VERSION}, the only supported one")
    return bool(fields["learnt"])


def _program(fields: dict[str, Any], number: int) -> tuple[str, bytes]:
    path, digest = fields.get("path"), fields.get("sha256")
    if not isinstance(path, str) or not isinstance(digest, str) or set(fields) != {"path", "sha256"}:
        raise BadBaseline(f"line {number}: a program must have path and sha256")
    if not path or not DIGEST.fullmatch(digest):
        raise BadBaseline(f"line {number}: path or sha256 is not valid")
    if not is_label(path):
        raise BadBaseline(f"line {number}: the path is not escaped as label values are")
    return shortened(path), bytes.fromhex(digest)
