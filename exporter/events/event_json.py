"""The JSON object of one execution: the sixteen fields of the event by name, and further fields.

Strings are escaped like labels (`exporter.escape`), so `unescape` restores their bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from exporter.escape import LABEL_BYTES, escape, shortened
from exporter.events.decode import ExecKey, File, Introduction, KernelPath
from exporter.events.event_fields import EXTRA_FIELDS, FIELDS
from exporter.events.labels import labels_of

PATH_BYTES = 1024  # of the path in a bounded object
NAMES, VALUES = "names", "values"


def as_json(
    key: ExecKey, introduction: Introduction, unavailable: Mapping[str, str], *, boot_time_ns: int, env: str = VALUES
) -> dict[str, Any]:
    """Return the object. Fields that were not requested or that the kernel cannot provide are null.

    `unavailable` has these fields with the reason, `boot_time_ns` is the time of boot in ns since the epoch. With NAMES
    as `env`, the values of environment variables are left out.
    """
    program, interpreter = introduction.program, introduction.interpreter
    labels = labels_of(key, introduction)
    record: dict[str, Any] = {
        "time": boot_time_ns + introduction.time,
        "path": labels.path,
        "interpreter": labels.interpreter,
        "cmdpath": _text(introduction.cmdpath),
        "pathname": _pathname(introduction.pathname),
        **_file("", program),
        "inode_mode": program.mode if program else None,
        "interpreter_pathname": _pathname(introduction.interpreter_pathname),
        **_file("interpreter_", interpreter),
        "argv": _strings(introduction.argv, introduction.argv_bytes),
        "argc": introduction.argc,
        "argv_bytes": introduction.argv_bytes,
        "interp": _text(introduction.interp),
        "stdin_type": key.stdin_type,
        "stdin_path": stdin_path(key.stdin_type, introduction),
        "invoked_from_kernel": key.has("from_kernel"),
        "env": _strings(introduction.env, introduction.env_bytes),
        "envc": introduction.envc,
        "env_bytes": introduction.env_bytes,
        "cwd": _pathname(introduction.cwd),
        "pid": introduction.pid,
        "ppid": introduction.ppid,
        "uid": introduction.uid,
        "gid": introduction.gid,
        "cgroup": introduction.cgroup,
        "comm": escape(introduction.comm),
        "start_time": boot_time_ns + introduction.start_time,
        "size": program.size if program else None,
        "links": program.links if program else None,
        "generation": program.generation if program else None,
        "backing_dev": _device(program.backing_dev) if program else None,
        "backing_inode": program.backing_inode if program else None,
        "script": key.has("script"),
        "script_path": _script_path(key, introduction),
        "memfd": key.has("memfd"),
        "deleted": bool(introduction.pathname and introduction.pathname.deleted),
        "disconnected": bool(introduction.pathname and introduction.pathname.disconnected),
        "truncated": sorted(introduction.truncated),
        "unreadable": sorted(introduction.unreadable),
    }
    if env == NAMES and record["env"] is not None:
        record["env"] = [entry.partition("=")[0] for entry in record["env"]]
    for field in unavailable:
        record[field] = None
    record["unavailable"] = {field: why for field, why in unavailable.items() if field in FIELDS | EXTRA_FIELDS}
    return record


def bounded(record: dict[str, Any]) -> dict[str, Any]:
    """Shorten the texts of an object, but for argv and env, which have bounds of their own."""
    return {
        name: shortened(value, PATH_BYTES if name == "path" else LABEL_BYTES) if isinstance(value, str) else value
        for name, value in record.items()
    }


def stdin_path(stdin_type: str, introduction: Introduction) -> str | None:
    """Return the name of descriptor 0 as /proc/<pid>/fd/0 shows it; None if it is closed."""
    path = introduction.stdin_path
    if path is None:
        return None
    if stdin_type in ("pipe", "socket") and path.orphan:
        return f"{stdin_type}:[{introduction.stdin_inode}]"
    if path.orphan and stdin_type == "anon":
        return "anon_inode:" + escape(path.name)
    if path.orphan:
        return "/" + escape(path.name) + " (deleted)"
    return _pathname(path, " (deleted)" if path.deleted else "")


def _script_path(key: ExecKey, introduction: Introduction) -> str | None:
    """Return the script's own path; `as invoked` if the kernel did not show the file."""
    if not key.has("script"):
        return None
    return "as invoked" if key.has("as_invoked") else _pathname(introduction.script_path)


def _pathname(path: KernelPath | None, suffix: str = "") -> str | None:
    """Return a path, marked if it was cut or is in no directory, so that it never looks complete."""
    if path is None:
        return None
    mark = "[truncated]/" if path.cut else "/" if path.orphan else ""
    return mark + escape(path.name) + suffix


def _file(prefix: str, file: File | None) -> dict[str, Any]:
    return {
        f"{prefix}dev": _device(file.dev) if file else None,
        f"{prefix}inode": file.inode if file else None,
        f"{prefix}ctime": file.ctime if file else None,
    }


def _device(device: tuple[int, int] | None) -> str | None:
    return f"{device[0]}:{device[1]}" if device else None


def _text(text: bytes | None) -> str | None:
    return None if text is None else escape(text)


def _strings(text: bytes | None, whole_bytes: int) -> list[str] | None:
    """Split NUL-terminated strings, of which the last may be cut; None if there are some but none were recorded."""
    if text is None:
        return None if whole_bytes else []
    return [escape(part) for part in text.removesuffix(b"\0").split(b"\0")]
