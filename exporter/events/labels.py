"""From what was executed to the label values path, interpreter and stdin_type."""

from __future__ import annotations

from typing import NamedTuple

from exporter.escape import escape
from exporter.events.decode import ExecKey, Introduction, KernelPath

UNKNOWN = "unknown"


class Labels(NamedTuple):
    """The label values of one series of exec_executions_total."""

    path: str
    interpreter: str
    stdin_type: str


def labels_of(key: ExecKey, introduction: Introduction | None) -> Labels:
    """The labels of a key; its path and interpreter are `unknown` until it has been introduced."""
    if introduction is None or introduction.pathname is None:
        return Labels(UNKNOWN, UNKNOWN, key.stdin_type)
    if key.has("script"):
        script = introduction.script_path
        path = path_label(script) if script else _invoked(introduction)
        return Labels(path, escape(introduction.interp or b""), key.stdin_type)
    interpreter = introduction.interpreter_pathname
    return Labels(path_label(introduction.pathname), path_label(interpreter) if interpreter else "", key.stdin_type)


def path_label(path: KernelPath) -> str:
    """A file's path, or what stands for the paths of files that have none: those would be without number."""
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
    """A script's path as invoked, made absolute with the working directory."""
    path = introduction.cmdpath or b""
    if "cmdpath" in introduction.truncated:
        return "[truncated]/" + escape(path)
    if path.startswith(b"/"):
        return escape(path)
    cwd = introduction.cwd
    if cwd is None:
        return UNKNOWN
    if cwd.cut:
        return "[truncated]/" + escape(path)
    if cwd.deleted:
        return "[deleted]"
    return ("[disconnected]" if cwd.disconnected else "") + escape(absolute(cwd.name, path))


def absolute(directory: bytes, path: bytes) -> bytes:
    """`path` as seen from `directory`, which has no symbolic links in it.

    Leading `.` and `..` are resolved. Later ones are kept: what they lead to depends on symbolic links.
    """
    parts = [part for part in directory.split(b"/") if part]
    names = [name for name in path.split(b"/") if name not in (b"", b".")]
    while names and names[0] == b"..":
        del names[0]
        del parts[-1:]
    return b"/" + b"/".join(parts + names)
