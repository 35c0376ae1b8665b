"""What makes an execution worth a look: traits, from the flags of its key and from its labels."""

from __future__ import annotations

import re
from collections.abc import Mapping

from exporter.events.decode import ExecKey
from exporter.events.labels import Labels
from exporter.probe.exec_header import enum

# Those that the probe finds: a flag of the key each.
_FLAGS = {
    "memfd": "memfd",
    "deleted": "deleted",
    "container_upper_layer": "upper_layer",
    "world_writable_directory": "world_writable",
    "world_writable_directory_as_root": "world_writable_as_root",
    "setuid": "setuid",
    "kernel_invoked": "from_kernel",
    "fresh_binary": "fresh",
    "preload": "preload",
    "path_truncated": "truncated",
}
_ANY = sum(enum("key_flag")[f"KEY_{flag.upper()}"] for flag in _FLAGS.values())
# Each is a reason to look, and what it means.
TRAITS: Mapping[str, str] = {
    "memfd": "the file is a memfd: it was never in any directory",
    "deleted": "the file's name was removed before it was executed",
    "container_upper_layer": "the file is in the upper layer of an overlay: no image brought it",
    "world_writable_directory": "everybody may write to the directory that the file is in",
    "world_writable_directory_as_root": "and it was executed by root",
    "setuid": "the file is setuid, or setgid and executable by its group",
    "kernel_invoked": "the kernel started it: a helper for core dumps, modules, hotplug",
    "loader_direct": "an ELF loader was executed as a program, which runs files that are not executable",
    "shell_socket_stdin": "a shell, or its script, reads from a socket",
    "fresh_binary": "the file was changed less than a minute before",
    "preload": "LD_PRELOAD or LD_AUDIT is set; looked for with `--collector.preload`",
    "path_truncated": "the path has more components than are followed",
}

# The ELF interpreters of glibc and musl on every architecture, executed as programs.
_LOADER = re.compile(r"ld-linux[\w-]*\.so\.\d+|ld64\.so\.\d+|ld\.so(\.\d+)?|ld-musl-[\w-]+\.so\.\d+|ld-[\d.]+\.so")
_SHELL = re.compile(r"(ba|da|a|k|mk|pdk|z|c|tc|fi|ya|r|rba|lk)?sh(\.distrib|-static|\d+)?|busybox|pwsh|toybox")


def traits_of(key: ExecKey, labels: Labels) -> tuple[str, ...]:
    """The traits of what was executed with this key; `labels` are those before any rule was applied to them."""
    traits = [trait for trait, flag in _FLAGS.items() if key.has(flag)] if key.flags & _ANY else []
    if _is(labels.path, _LOADER):
        traits.append("loader_direct")
    if key.stdin_type == "socket" and (_is(labels.path, _SHELL) or _is(labels.interpreter, _SHELL)):
        traits.append("shell_socket_stdin")
    return tuple(traits)


def _is(path: str, name: re.Pattern[str]) -> bool:
    """Whether the last name of an absolute path is such a one."""
    _, slash, last = path.rpartition("/")
    return bool(slash and name.fullmatch(last))
