import pytest

from exporter.kernel.symbols import HookError, Symbols

SYMBOLS = "ffff0 T security_bprm_creds_for_exec\nffff1 T __pfx_security_bprm_creds_for_exec\n"


class File:
    def __init__(self, content=b"", error=None):
        self.content, self.error, self.reads = content, error, 0

    def read_bytes(self):
        self.reads += 1
        if self.error:
            raise self.error
        return self.content


def test_a_function_that_is_there_once_is_good(tmp_path):
    (tmp_path / "kallsyms").write_text(SYMBOLS + "ffff2 t security_bprm_creds_for_exec_x\n")
    Symbols(tmp_path / "kallsyms").check("security_bprm_creds_for_exec")


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
        Symbols(tmp_path / "kallsyms").check(name)


def test_where_kallsyms_is_hidden_the_attempt_decides():
    Symbols(File(error=PermissionError(13, "Permission denied"))).check("x")


def test_the_file_is_read_once_for_all_functions():
    file = File(SYMBOLS.encode())
    symbols = Symbols(file)
    symbols.check("security_bprm_creds_for_exec")
    symbols.check("__pfx_security_bprm_creds_for_exec")
    assert file.reads == 1


def test_without_kallsyms_nothing_is_attached_blindly(tmp_path):
    with pytest.raises(HookError, match="cannot read"):
        Symbols(tmp_path / "kallsyms").check("x")
