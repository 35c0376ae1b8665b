"""What makes an execution worth a look: traits, from the flags of its key and from its labels."""

from __future__ import annotations

import re

from exporter.decode import Key
from exporter.event import enum
from exporter.label import Labels

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
TRAITS = (*_FLAGS, "loader_direct", "shell_socket_stdin")

# The ELF interpreters of glibc and musl on every architecture, executed as programs.
_LOADER = re.compile(r".*/(ld-linux[\w-]*\.so\.\d+|ld64\.so\.\d+|ld\.so(\.\d+)?|ld-musl-[\w-]+\.so\.\d+|ld-[\d.]+\.so)")
_SHELL = re.compile(
    r".*/(ba|da|a|k|mk|pdk|z|c|tc|fi|ya|r|rba|lk)?sh(\.distrib|-static|\d+)?|.*/busybox|.*/pwsh|.*/toybox"
)


def traits_of(key: Key, labels: Labels) -> tuple[str, ...]:
    """The traits of what was executed with this key; `labels` are those before any rule was applied to them."""
    traits = [trait for trait, flag in _FLAGS.items() if key.has(flag)] if key.flags & _ANY else []
    if _LOADER.fullmatch(labels.path):
        traits.append("loader_direct")
    if key.stdin_type == "socket" and (_SHELL.fullmatch(labels.path) or _SHELL.fullmatch(labels.interpreter)):
        traits.append("shell_socket_stdin")
    return tuple(traits)
