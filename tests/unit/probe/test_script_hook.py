import errno
import os

import pytest

from exporter.kernel.symbols import HookError, check_symbol
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


SYMBOLS = "ffff0 T security_bprm_creds_for_exec\nffff1 T __pfx_security_bprm_creds_for_exec\n"


def test_a_function_that_is_there_once_is_good(tmp_path):
    (tmp_path / "kallsyms").write_text(SYMBOLS + "ffff2 t security_bprm_creds_for_exec_x\n")
    check_symbol("security_bprm_creds_for_exec", tmp_path / "kallsyms")


@pytest.mark.parametrize(
    ("more", "name", "message"),
    [
        ("", "missing", "the kernel has no missing"),
        ("ffff2 t security_bprm_creds_for_exec\t[module]\n", "security_bprm_creds_for_exec", "2 functions"),
        ("ffff2 W security_bprm_creds_for_exec\n", "security_bprm_creds_for_exec", "2 functions"),
        ("ffff2 d data\n", "data", "no data"),
    ],
)
def test_a_function_that_is_missing_or_ambiguous_is_noticed(tmp_path, more, name, message):
    (tmp_path / "kallsyms").write_text(SYMBOLS + more)
    with pytest.raises(HookError, match=message):
        check_symbol(name, tmp_path / "kallsyms")


def test_where_kallsyms_is_hidden_the_attempt_decides():
    class Hidden:
        def read_bytes(self):
            raise PermissionError(13, "Permission denied")

    check_symbol("x", Hidden())


def test_without_kallsyms_nothing_is_attached_blindly(tmp_path):
    with pytest.raises(HookError, match="cannot read"):
        check_symbol("x", tmp_path / "kallsyms")


def test_the_canary_is_executed_and_fails():
    canary()
