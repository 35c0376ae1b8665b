"""The sixteen fields of the sched_process_exec event, and the kernel features that each needs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from exporter.compiler.kernel_types import Feature

FIELDS: dict[str, tuple[str, ...]] = {
    "cmdpath": ("program_file",),
    "pathname": ("program_file",),
    "dev": ("program_file",),
    "inode": ("program_file",),
    "ctime": ("program_file", "ctime"),
    "inode_mode": ("program_file",),
    "interpreter_pathname": ("program_file", "elf_interpreter"),
    "interpreter_dev": ("program_file", "elf_interpreter"),
    "interpreter_inode": ("program_file", "elf_interpreter"),
    "interpreter_ctime": ("program_file", "elf_interpreter", "ctime"),
    "argv": ("arguments",),
    "interp": ("program_file",),
    "stdin_type": ("stdin",),
    "stdin_path": ("program_file", "stdin"),
    "invoked_from_kernel": ("parent",),
    "env": ("arguments",),
}
# Further fields of a record.
EXTRA_FIELDS: dict[str, tuple[str, ...]] = {
    "cwd": ("program_file", "cwd"),
    "size": ("program_file", "inode_facts"),
    "links": ("program_file", "inode_facts"),
    "generation": ("program_file",),
    "argc": ("arguments",),
    "argv_bytes": ("arguments",),
    "envc": ("arguments",),
    "env_bytes": ("arguments",),
    "ppid": ("parent",),
    "start_time": ("start_time",),
    "cgroup": (),
    "backing_dev": ("program_file", "overlay_backing"),
    "backing_inode": ("program_file", "overlay_backing"),
}

NOT_ASKED = "not asked for"


def not_asked(argv_bytes: int, env: str) -> dict[str, str]:
    """Return the fields that are recorded on request only and were not requested, each with the reason."""
    requested = {"argv": bool(argv_bytes), "env": env != "none"}
    return {field: NOT_ASKED for field, wanted in requested.items() if not wanted}


def lacks_cgroup(own: Path = Path("/proc/self/cgroup")) -> dict[str, str]:
    """Return `cgroup` with the reason if cgroup v2 is not mounted: all processes then have the same id."""
    if any(line.startswith("0::") for line in own.read_text("utf-8", "surrogateescape").splitlines()):
        return {}
    return {"cgroup": "cgroup v2 is not mounted on this machine"}


def unavailable(missing: Iterable[Feature]) -> dict[str, str]:
    """Return the fields that a kernel without these features cannot provide, each with the reason."""
    names = {feature.name for feature in missing}
    return {
        field: f"this kernel lacks {', '.join(sorted(names.intersection(needs)))}"
        for field, needs in (FIELDS | EXTRA_FIELDS).items()
        if names.intersection(needs)
    }
