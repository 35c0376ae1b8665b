"""Traits, suspicious properties of an execution: from the bits of its key and from its labels."""

from __future__ import annotations

import re
from collections.abc import Mapping

from exporter.events.decode import ExecKey
from exporter.events.labels import Labels
from exporter.probe.exec_header import enum

UPPER_LAYER = "container_upper_layer"
# The traits that the probe detects, each with its key bit.
_FLAGS = {
    "memfd": "memfd",
    "deleted": "deleted",
    UPPER_LAYER: "upper_layer",
    "world_writable_directory": "world_writable",
    "world_writable_directory_as_root": "world_writable_as_root",
    "setuid": "setuid",
    "kernel_invoked": "from_kernel",
    "fresh_binary": "fresh",
    "preload": "preload",
    "path_truncated": "truncated",
}
_ANY = sum(enum("key_flag")[f"KEY_{flag.upper()}"] for flag in _FLAGS.values())
# The documented meaning of every trait.
TRAITS: Mapping[str, str] = {
    "memfd": "the file is a memfd, which never had a name in a file system",
    "deleted": "the file was unlinked before it was executed",
    UPPER_LAYER: "the file is in the upper layer of an overlay file system, with content that the image does not have",
    "world_writable_directory": "the directory of the file is world-writable",
    "world_writable_directory_as_root": "the directory of the file is world-writable, and root executed the file",
    "setuid": "the file is setuid, or setgid and group-executable",
    "kernel_invoked": "the kernel started the program as a helper, for example for core dumps, modules or hotplug",
    "loader_direct": "an ELF loader was executed as a program; it can run files without the execute bit",
    "shell_socket_stdin": "standard input of a shell or shell script is a connection: a socket of another family than "
    "AF_UNIX and AF_NETLINK, or a Unix socket with a name at either end, unlike those of a socketpair(2)",
    "fresh_binary": "the file was changed in the minute before the execution; not if its change time is ahead",
    "preload": "LD_PRELOAD or LD_AUDIT is set; checked only with `--collector.preload`",
    "path_truncated": "the path has more components than the probe follows",
}

# The ELF interpreters of glibc and musl on every architecture, executed as programs.
_LOADER = re.compile(r"ld-linux[\w-]*\.so\.\d+|ld64\.so\.\d+|ld\.so(\.\d+)?|ld-musl-[\w-]+\.so\.\d+|ld-[\d.]+\.so")
_SHELL = re.compile(r"(ba|da|a|k|mk|pdk|z|c|tc|fi|ya|r|rba|lk)?sh(\.distrib|-static|\d+)?|busybox|pwsh|toybox")


def traits_of(key: ExecKey, labels: Labels) -> tuple[str, ...]:
    """Return the traits of executions with this key. `labels` are those before path rules.

    Whether a file that was copied up has the trait UPPER_LAYER depends on its content, so it is left out.
    """
    traits = [trait for trait, flag in _FLAGS.items() if key.has(flag)] if key.flags & _ANY else []
    if key.has("copied_up"):
        traits = [trait for trait in traits if trait != UPPER_LAYER]
    if _is(labels.path, _LOADER):
        traits.append("loader_direct")
    if key.has("connected_stdin") and (_is(labels.path, _SHELL) or _is(labels.interpreter, _SHELL)):
        traits.append("shell_socket_stdin")
    return tuple(traits)


def _is(path: str, name: re.Pattern[str]) -> bool:
    """Return True if the last component of an absolute path matches."""
    _, slash, last = path.rpartition("/")
    return bool(slash and name.fullmatch(last))
