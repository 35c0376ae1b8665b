r"""File names as label values: bytes in, text out, and back again.

A path may hold any byte but NUL. Printable characters stay. Every byte of anything else becomes `\xHH`: bytes that are
not UTF-8, control characters, marks that change the direction of text, invisible and unassigned characters. A backslash
is doubled. So different names have different labels, and `unescape` restores the name.
"""

from __future__ import annotations

import re

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
    """Return the name that `escape` made a label from."""
    return _ESCAPED.sub(lambda found: bytes([int(found[1], 16)]) if found[1] else b"\\", label.encode("utf-8"))
