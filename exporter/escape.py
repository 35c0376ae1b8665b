r"""File names as label values: bytes in, text out, and back again.

A path may hold any byte but NUL. Printable characters stay. Every byte of anything else becomes `\xHH`: bytes that are
not UTF-8, control characters, marks that change the direction of text, invisible and unassigned characters. A backslash
is doubled. So different names have different labels, and `unescape` restores the name.

Anybody can give a file a name that is 16 KiB of label. `shortened` bounds it: it replaces the middle with 16 digits
that are a hash of the whole, between two escaped NULs, which no name contains. So one name stays one label, the same
on every host, and no other name has it but by a search of 2^32 names, after which the labels of both are the author's.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

LABEL_BYTES = 256  # of a label, unless a flag says otherwise
_NUL = r"\x00"
_DIGITS = 16
_CHARACTER = re.compile(r"\\(?:\\|x[0-9a-f]{2})|[^\\]", re.DOTALL)
_SHORTENED = re.compile(rf"((?:(?!\\x00){_CHARACTER.pattern})*)\\x00([0-9a-f]{{16}})\\x00(.*)", re.DOTALL)
_ESCAPED = re.compile(rb"\\(?:\\|x([0-9a-f]{2}))")


def escape(name: bytes) -> str:
    """Return a printable label value of one line. `unescape` reverses it."""
    if name.isascii() and b"\\" not in name:
        plain = name.decode("ascii")
        if plain.isprintable():
            return plain
    return "".join(map(_escape_character, name.decode("utf-8", "surrogateescape")))


def _escape_character(character: str) -> str:
    if character == "\\":
        return "\\\\"
    if character.isprintable():
        return character
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))


def unescape(label: str) -> bytes:
    """Return the name that `escape` made a label from. Raise ValueError for a shortened label, which has no name."""
    if is_shortened(label):
        raise ValueError(f"{label}: the label was shortened, so its name is unknown")
    return _ESCAPED.sub(lambda found: bytes([int(found[1], 16)]) if found[1] else b"\\", label.encode("utf-8"))


def is_shortened(label: str) -> bool:
    """Return true if `shortened` has replaced the middle of a label."""
    return _NUL in label and _SHORTENED.fullmatch(label) is not None


def is_label(text: str) -> bool:
    """Return true if `escape` makes this text of some name, or `shortened` of that."""
    found = _SHORTENED.fullmatch(text) if _NUL in text else None
    try:
        return all(escape(unescape(part)) == part for part in ((found[1], found[3]) if found else (text,)))
    except ValueError:
        return False


def shortened(label: str, most: int = LABEL_BYTES) -> str:
    """Return a label of at most so many bytes of UTF-8: the label itself, or its beginning, a hash and its end.

    A label that was shortened before becomes what the whole one would.
    """
    found = _SHORTENED.fullmatch(label) if _NUL in label else None
    if not found and len(label.encode()) <= most:
        return label
    if found:
        head, digits, tail = found.groups()
    else:
        head = tail = label
        digits = hashlib.blake2b(label.encode(), digest_size=_DIGITS // 2, person=b"exec_exporter").hexdigest()
    room = most - 2 * len(_NUL) - _DIGITS
    beginning = _fitting(_CHARACTER.findall(head), room // 2)
    end = _fitting(reversed(_CHARACTER.findall(tail)), room - room // 2)
    return f"{''.join(beginning)}{_NUL}{digits}{_NUL}{''.join(reversed(end))}"


def _fitting(characters: Iterable[str], most: int) -> list[str]:
    """Return the first characters, escaped ones whole, that fit into so many bytes."""
    fitting: list[str] = []
    for character in characters:
        most -= len(character.encode())
        if most < 0:
            break
        fitting.append(character)
    return fitting
