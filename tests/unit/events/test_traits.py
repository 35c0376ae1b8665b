import pytest

from exporter.events.decode import ExecKey
from exporter.events.labels import Labels
from exporter.events.traits import TRAITS, traits_of
from exporter.probe.exec_header import enum

FLAGS = {
    "memfd": "KEY_MEMFD",
    "deleted": "KEY_DELETED",
    "container_upper_layer": "KEY_UPPER_LAYER",
    "world_writable_directory": "KEY_WORLD_WRITABLE",
    "world_writable_directory_as_root": "KEY_WORLD_WRITABLE_AS_ROOT",
    "setuid": "KEY_SETUID",
    "kernel_invoked": "KEY_FROM_KERNEL",
    "fresh_binary": "KEY_FRESH",
    "preload": "KEY_PRELOAD",
    "path_truncated": "KEY_TRUNCATED",
}


CONNECTED = enum("key_flag")["KEY_CONNECTED_STDIN"]


def traits(path="/usr/bin/true", interpreter="", stdin_type="null", flags=0):
    return traits_of(ExecKey(stdin_type, flags), Labels(path, interpreter, stdin_type))


@pytest.mark.parametrize(("trait", "flag"), FLAGS.items())
def test_each_flag_is_a_trait(trait, flag):
    assert traits(flags=enum("key_flag")[flag]) == (trait,)


def test_an_ordinary_execution_has_none():
    every = sum(enum("key_flag").values()) - sum(enum("key_flag")[flag] for flag in FLAGS.values())
    assert every & CONNECTED
    assert traits(flags=every) == ()
    assert set(TRAITS) == {*FLAGS, "loader_direct", "shell_socket_stdin"}


@pytest.mark.parametrize(
    "path",
    [
        "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
        "/usr/lib/ld-linux-aarch64.so.1",
        "/lib/ld-musl-x86_64.so.1",
        "/lib64/ld64.so.2",
        "/lib/ld-2.31.so",
        "/lib/ld.so.1",
    ],
)
def test_a_loader_that_is_executed_as_a_program(path):
    assert traits(path) == ("loader_direct",)
    assert traits("/usr/bin/true", interpreter=path) == ()


@pytest.mark.parametrize("path", ["/usr/bin/ld", "/usr/bin/ld.so-notes", "/opt/build-linux.so.2", "/usr/bin/ld.bfd"])
def test_names_that_only_resemble_a_loader(path):
    assert traits(path) == ()


@pytest.mark.parametrize("shell", ["sh", "bash", "dash", "zsh", "ksh93", "mksh", "fish", "tcsh", "busybox", "pwsh"])
def test_a_shell_that_reads_from_a_connection(shell):
    path = f"/usr/bin/{shell}"
    assert traits(path, stdin_type="socket", flags=CONNECTED) == ("shell_socket_stdin",)
    assert traits("/srv/handler", interpreter=path, stdin_type="socket", flags=CONNECTED) == ("shell_socket_stdin",)
    assert traits(path, stdin_type="socket") == ()
    assert traits(path, stdin_type="pipe") == ()


@pytest.mark.parametrize("path", ["/usr/bin/ssh", "/usr/bin/chsh", "/usr/bin/push", "/usr/sbin/sshd", "/usr/bin/mosh"])
def test_names_that_only_end_like_a_shell(path):
    assert traits(path, stdin_type="socket", flags=CONNECTED) == ()
