"""Request targets of RFC 9112, section 3.2, and references to other pages."""

from __future__ import annotations

import os
import re
from urllib.parse import quote, unquote_to_bytes

SERVER = "*"  # the target of OPTIONS for the server as a whole
ABSOLUTE = re.compile(r"[a-z][a-z0-9+.-]*://[^/?]*", re.IGNORECASE | re.ASCII)
MALFORMED = re.compile(r"%(?![0-9a-f]{2})", re.IGNORECASE | re.ASCII)
IN_QUERY = "%/:?@!$&'()*+,;=[]~"


def parse(target: str) -> tuple[str, str]:
    """Return the decoded path and the query of a target in origin or absolute form; an empty path if it is malformed.

    The scheme and host of an absolute form are ignored, as Host is: a proxy may call this server by any name.
    """
    absolute = ABSOLUTE.match(target)
    path, _, query = target[absolute.end() if absolute else 0 :].partition("?")
    if absolute and not path:
        path = "/"
    if MALFORMED.search(path) or not (path.startswith("/") or path == SERVER):
        return "", ""
    return os.fsdecode(unquote_to_bytes(path.encode("latin-1"))), query


def with_single_slashes(path: str) -> str:
    """Return a path without repeated slashes."""
    return re.sub("/{2,}", "/", path)


def relative(start: str, path: str, query: str = "") -> str:
    """Return a reference from the page at the path `start`: a reverse proxy may serve both below a prefix."""
    found = "../" * (start.count("/") - 1) or "./"
    found += quote(os.fsencode(path.removeprefix("/")))
    return found + (f"?{quote(query.encode('latin-1'), safe=IN_QUERY)}" if query else "")
