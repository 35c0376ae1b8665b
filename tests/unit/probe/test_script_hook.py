import errno
import os

import pytest

from exporter.kernel.symbols import HookError
from exporter.probe.canary import canary
from exporter.probe.hooks import choose


def refuse(error):
    def attach():
        raise error

    return attach


def test_the_first_hook_that_attaches_and_fires_is_taken():
    (left, kept), (other, _) = os.pipe(), os.pipe()
    hook = choose(
        [
            ("a", refuse(PermissionError(errno.EPERM, os.strerror(errno.EPERM)))),
            ("b", refuse(HookError("the kernel has no f"))),
            ("c", lambda: [left]),
            ("d", lambda: [kept, other]),
            ("e", refuse(AssertionError("not asked"))),
        ],
        fires=iter([False, True]).__next__,
    )
    assert hook.kind == "d"
    assert hook.refused == ("a: Operation not permitted", "b: the kernel has no f", "c: attached and never fired")
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(left)
    hook.detach()
    for descriptor in (kept, other):
        with pytest.raises(OSError, match="Bad file"):
            os.fstat(descriptor)


def test_without_any_there_is_no_hook_and_why():
    hook = choose([("a", refuse(HookError("no")))], fires=lambda: True)
    assert (hook.kind, hook.refused) == ("", ("a: no",))
    hook.detach()


def test_the_canary_is_executed_and_fails():
    canary()
