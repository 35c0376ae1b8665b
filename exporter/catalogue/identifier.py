"""Short names of findings, the same on every host: made from path and content, never from inodes or devices."""

from __future__ import annotations

import hashlib

ID_BYTES = 8  # 64 bits: too many to search for a program whose id is that of an accepted one
SHA256_BYTES = 32


def content_key(digest: bytes | None, size: int | None) -> bytes:
    """What stands for a content: its SHA-256, where that is unknown its size, else nothing."""
    if digest is not None:
        return digest
    return b"" if size is None else size.to_bytes(8, "big")


def digest_of(content: bytes) -> bytes | None:
    """The SHA-256 in a content key, if there is one."""
    return content if len(content) == SHA256_BYTES else None


def finding_id(path: str, content: bytes) -> str:
    """The id of a finding: of a path, as a label value, and a content key."""
    return hashlib.sha256(b"\0".join((b"exec_exporter finding", path.encode(), content))).hexdigest()[: 2 * ID_BYTES]
