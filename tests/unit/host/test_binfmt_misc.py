from exporter.host.binfmt_misc import misc_interpreters

ENTRY = b"enabled\ninterpreter /usr/bin/qemu-arm\nflags: OCF\noffset 0\nmagic 7f454c46\n"


def test_those_that_are_switched_on(tmp_path):
    (tmp_path / "status").write_bytes(b"enabled\n")
    (tmp_path / "register").write_bytes(b"")
    (tmp_path / "qemu-arm").write_bytes(ENTRY)
    (tmp_path / "python").write_bytes(ENTRY.replace(b"enabled", b"disabled").replace(b"qemu-arm", b"python"))
    (tmp_path / "odd").write_bytes(b"enabled\nflags: \n")
    (tmp_path / "empty").write_bytes(b"")
    assert misc_interpreters(tmp_path) == {b"/usr/bin/qemu-arm"}


def test_none_where_all_are_switched_off(tmp_path):
    (tmp_path / "status").write_bytes(b"disabled\n")
    (tmp_path / "qemu-arm").write_bytes(ENTRY)
    assert misc_interpreters(tmp_path) == frozenset()


def test_none_where_it_is_not_mounted(tmp_path):
    assert misc_interpreters(tmp_path / "binfmt_misc") == frozenset()
