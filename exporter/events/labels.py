"""The label values path, interpreter and stdin_type of an execution."""

from __future__ import annotations

import re
from typing import NamedTuple

from exporter.escape import LABEL_BYTES, escape, shortened
from exporter.events.decode import ExecKey, Introduction, KernelPath

UNKNOWN = "unknown"
# How a descriptor is named; its number says nothing about the file.
_DESCRIPTOR = re.compile(rb"/(?:dev/fd|proc/(?:self|thread-self|\d+)(?:/task/\d+)?/fd)/\d+(?![^/])")


class Labels(NamedTuple):
    """Label values of a series of exec_executions_total."""

    path: str
    interpreter: str
    stdin_type: str

    def shortened(self, most: int = LABEL_BYTES) -> Labels:
        """Return labels of at most so many bytes each."""
        return Labels(shortened(self.path, most), shortened(self.interpreter, most), self.stdin_type)


def labels_of(key: ExecKey, introduction: Introduction | None) -> Labels:
    """Return the labels of a key. Path and interpreter are `unknown` until the key has been introduced."""
    if introduction is None or introduction.pathname is None:
        return Labels(UNKNOWN, UNKNOWN, key.stdin_type)
    if key.has("script"):
        script = introduction.script_path
        path = path_label(script) if script else _invoked(introduction)
        return Labels(path, _without_descriptor(introduction.interp or b""), key.stdin_type)
    interpreter = introduction.interpreter_pathname
    return Labels(path_label(introduction.pathname), path_label(interpreter) if interpreter else "", key.stdin_type)


def path_label(path: KernelPath) -> str:
    """Return a file's path, or one value for all files without a path, whose names would be unbounded."""
    if path.orphan:
        return "[memfd]" if path.name.startswith(b"memfd:") else "[disconnected]"
    if path.deleted:
        return "[deleted]"
    if path.cut:
        return "[truncated]/" + escape(path.name)
    if path.disconnected:
        return "[disconnected]" + escape(path.name)
    return escape(path.name)


def _invoked(introduction: Introduction) -> str:
    """Return a script's path as invoked, made absolute with the working directory."""
    path = introduction.cmdpath or b""
    if "cmdpath" in introduction.truncated:
        return "[truncated]/" + escape(path)
    if path.startswith(b"/"):
        return _without_descriptor(path)
    cwd = introduction.cwd
    if cwd is None:
        return UNKNOWN
    if cwd.cut:
        return "[truncated]/" + escape(path)
    if cwd.deleted:
        return "[deleted]"
    return ("[disconnected]" if cwd.disconnected else "") + escape(absolute(cwd.name, path))


def _without_descriptor(path: bytes) -> str:
    """Return a name that a program was invoked by as a label that depends on no descriptor's number."""
    found = _DESCRIPTOR.match(path)
    return "[descriptor]" + escape(path[found.end() :]) if found else escape(path)


def absolute(directory: bytes, path: bytes) -> bytes:
    """Join a relative path to a directory whose own path has no symbolic links.

    Leading `.` and `..` are resolved; later `..` stay, since they may follow a symbolic link.
    """
    parts = [part for part in directory.split(b"/") if part]
    names = [name for name in path.split(b"/") if name not in (b"", b".")]
    while names and names[0] == b"..":
        del names[0]
        del parts[-1:]
    return b"/" + b"/".join(parts + names)
