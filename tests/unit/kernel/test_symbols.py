import pytest

from exporter.kernel.symbols import HookError, check_symbol

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
