import ctypes
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.events.decode import DecodeError, Decoder, File, Identity, KernelPath
from exporter.events.event_json import as_json
from exporter.probe.exec_header import Layouts, enum, vocabulary
from tests.unit.layouts import LAYOUTS, PRESENT, TEXTS, Introduction, key, record
from tests.unit.layouts import File as LayoutFile

decoder = Decoder(LAYOUTS)


def test_a_key_has_its_stdin_type_and_flags():
    decoded = decoder.key(key(stdin_type=5, flags=0b11))
    assert decoded.stdin_type == "tty"
    assert decoded.has("script")
    assert decoded.has("from_kernel")
    assert not decoded.has("deleted")


def test_a_stdin_type_that_is_not_known_is_unknown():
    assert decoder.key(key(stdin_type=99)).stdin_type == "unknown"


def test_a_key_of_another_size_is_refused():
    with pytest.raises(DecodeError, match="a key of 5 bytes, not 80"):
        decoder.key(b"12345")


def test_an_introduction_has_its_texts_in_order():
    found = decoder.introduction(
        record(
            key(file=7),
            pathname=b"true\0bin\0usr\0",
            interpreter_pathname=b"ld.so\0lib\0",
            cwd=b"b\0a\0",
            stdin_path=b"null\0dev\0",
            cmdpath=b"./true\0",
            interp=b"./true\0",
            argv=b"true\0\0-x\0",
            env=b"A=1\0",
        )
    )
    assert found.key == key(file=7)
    assert found.pathname == KernelPath(b"/usr/bin/true")
    assert found.interpreter_pathname == KernelPath(b"/lib/ld.so")
    assert found.cwd == KernelPath(b"/a/b")
    assert found.stdin_path == KernelPath(b"/dev/null")
    assert (found.cmdpath, found.interp) == (b"./true", b"./true")
    assert (found.argv, found.env) == (b"true\0\0-x\0", b"A=1\0")
    assert found.truncated == found.unreadable == frozenset()


def test_a_path_that_was_cut_does_not_look_absolute():
    found = decoder.introduction(record(key(), truncated=1, pathname=b"true\0bin\0"))
    assert found.truncated == {"pathname"}
    assert found.pathname == KernelPath(b"bin/true", cut=True)


def test_absent_values_are_none():
    found = decoder.introduction(record(key(), pathname=b"a\0"))
    assert found.interpreter_pathname is found.cwd is found.argv is found.interpreter is None


def test_a_root_directory_has_no_names_and_is_there():
    assert decoder.introduction(record(key(), path_flags={"cwd": PRESENT})).cwd == KernelPath(b"/")


def test_the_flags_of_a_path_are_read():
    flags = enum("path_flag")
    number = PRESENT | flags["PATH_ORPHAN"] | flags["PATH_DISCONNECTED"]
    found = decoder.introduction(record(key(), path_flags={"pathname": number}, pathname=b"memfd:x\0"))
    assert found.pathname == KernelPath(b"memfd:x", orphan=True, disconnected=True)


def test_a_file_has_its_device_as_stat_shows_it():
    facts = {"inode": 9, "dev": 0x10300002, "ctime": -1, "mode": 0o104755, "size": 5, "links": 2, "generation": 3}
    found = decoder.introduction(record(key(), numbers={"program": LayoutFile(**facts)}))
    assert found.program == File((259, 2), 9, -1, 0o104755, 5, 2, 3, None, None)


def test_a_file_on_an_overlay_has_the_one_below_beside_it():
    facts = LayoutFile(inode=9, backing_inode=4, backing_dev=0x800001)
    found = decoder.introduction(record(key(), numbers={"program": facts})).program
    assert (found.backing_dev, found.backing_inode) == ((8, 1), 4)


def test_numbers_are_taken_from_where_the_layout_has_them():
    numbers = {"pid": 1, "ppid": 2, "uid": 3, "gid": 4, "argc": 5, "envc": 6, "argv_bytes": 7, "env_bytes": 8}
    found = decoder.introduction(record(key(), numbers={**numbers, "cgroup": 9, "comm": b"sh"}))
    assert {name: getattr(found, name) for name in numbers} == numbers
    assert (found.cgroup, found.comm) == (9, b"sh")


@given(st.binary(max_size=Introduction.text.offset + 300))
def test_any_bytes_are_decoded_or_refused(data):
    try:
        found = decoder.introduction(data)
    except DecodeError:
        return
    total = sum(len(text) for text in (found.cmdpath, found.interp, found.argv, found.env) if text)
    total += sum(len(path.name) for path in (found.pathname, found.cwd, found.stdin_path) if path)
    assert total <= len(data)


@given(st.lists(st.binary(max_size=40), min_size=len(TEXTS), max_size=len(TEXTS)), st.data())
def test_a_record_with_a_wrong_byte_is_decoded_or_refused(texts, data):
    good = bytearray(record(key(), **dict(zip(TEXTS, texts, strict=True))))
    at = data.draw(st.integers(0, Introduction.text.offset - 1))
    good[at] = data.draw(st.integers(0, 255))
    raw = bytes(good[: data.draw(st.integers(0, len(good)))])
    try:
        found = decoder.introduction(raw)
    except DecodeError:
        return
    shown = as_json(decoder.key(found.key), found, {}, boot_time_ns=0)
    assert json.loads(json.dumps(shown)) == shown


def renumbered(enum_name, lacking, prefix):
    """The enum as an older exec.h had it: in another order, without a name, and with a name that is gone since."""
    names = [name for name in enum(enum_name) if name != lacking]
    values = sorted(enum(enum_name).values())
    return {f"{prefix}GONE": values[0], **dict(zip(reversed(names), values[1:], strict=False))}


OLDER = {
    "key_flag": renumbered("key_flag", "KEY_PRELOAD", "KEY_"),
    "path_flag": renumbered("path_flag", "PATH_ORPHAN", "PATH_"),
    "stdin_type": renumbered("stdin_type", "STDIN_CLOSED", "STDIN_"),
    "text": {name: number for name, number in enum("text").items() if name != "TEXT_ENV"} | {"TEXTS": 9},
}


class OlderIntroduction(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_uint32 * (len(OLDER["text"]) - 1) if name == "text_size" else kind)
        for name, kind in Introduction._fields_
    ]


older = Decoder(Layouts(LAYOUTS.key, OlderIntroduction, OLDER))


@pytest.mark.parametrize("name", list(OLDER["key_flag"]))
def test_the_bits_of_an_older_key_mean_what_they_meant_there(name):
    decoded = older.key(key(flags=OLDER["key_flag"][name]))
    assert [flag for flag in enum("key_flag") if decoded.has(flag.removeprefix("KEY_"))] == [name] * (
        "GONE" not in name
    )


@pytest.mark.parametrize("name", list(OLDER["stdin_type"]))
def test_the_stdin_type_of_an_older_key_means_what_it_meant_there(name):
    shown = older.key(key(stdin_type=OLDER["stdin_type"][name])).stdin_type
    assert shown == ("unknown" if "GONE" in name else name.removeprefix("STDIN_").lower())


def test_an_older_record_has_the_texts_and_paths_that_it_was_written_with():
    texts = {name: f"{name}\0".encode() for name in TEXTS if name != "env"}
    header = OlderIntroduction(key=LAYOUTS.key.from_buffer_copy(key(file=7)), truncated=1 << TEXTS.index("argv"))
    header.text_size[:] = [len(text) for text in texts.values()]
    header.text_bytes = sum(header.text_size)
    header.path_flags[:] = [OLDER["path_flag"]["PATH_PRESENT"] | OLDER["path_flag"]["PATH_DELETED"]] * 5
    found = older.introduction(bytes(header)[: OlderIntroduction.text.offset] + b"".join(texts.values()))
    assert found.key == key(file=7)
    assert found.script_path == KernelPath(b"/script_path", deleted=True)
    assert (found.cmdpath, found.argv, found.env) == (b"cmdpath", b"argv\0", None)
    assert found.truncated == {"argv"}


def test_a_record_with_texts_that_this_version_does_not_know_is_decoded():
    class NewerIntroduction(ctypes.Structure):
        _fields_ = [
            (name, ctypes.c_uint32 * 11 if name == "text_size" else kind) for name, kind in Introduction._fields_
        ]

    newer = {**vocabulary(), "text": {**dict(list(enum("text").items())[:-1]), "TEXT_ANOTHER": 10, "TEXTS": 11}}
    header = NewerIntroduction(key=LAYOUTS.key.from_buffer_copy(key()), text_bytes=4)
    header.text_size[:] = [0] * 9 + [2, 2]
    found = Decoder(Layouts(LAYOUTS.key, NewerIntroduction, newer)).introduction(
        bytes(header)[: NewerIntroduction.text.offset] + b"e\0x\0"
    )
    assert (found.env, found.argv) == (b"e\0", None)


ORIGIN = {"origin_inode": 7, "origin_ctime": -5, "origin_dev": 254 << 20 | 2, "origin_generation": 9}


def test_a_file_that_was_copied_up_has_the_one_below():
    program = LayoutFile(inode=3, **ORIGIN)
    found = decoder.introduction(
        record(key(), numbers={"program": program}, pathname=b"x\0", origin_path=b"x\0diff\0layers\0")
    )
    assert found.program.origin == Identity(7, (254, 2), 9, -5, 0)
    assert found.origin_path == b"layers/diff/x"


def test_the_path_of_the_file_below_is_unknown_if_it_was_cut():
    cut = decoder.introduction(record(key(), truncated=1 << TEXTS.index("origin_path"), origin_path=b"x\0diff\0"))
    assert (cut.origin_path, cut.truncated) == (None, frozenset())
    assert decoder.introduction(record(key())).origin_path is None


def test_paths_have_scopes():
    found = decoder.introduction(record(key(), scopes={"pathname": 5}, pathname=b"x\0", cwd=b"y\0"))
    assert found.pathname == KernelPath(b"/x", scope=5)
    assert found.cwd == KernelPath(b"/y")


def without(layout, replaced):
    """A layout as it was before: without members, or with members of another type, by name."""
    members = [(name, replaced.get(name, kind)) for name, kind in layout._fields_ if replaced.get(name, kind)]
    return type(layout.__name__, (ctypes.Structure,), {"_fields_": members})


def test_a_record_of_a_probe_that_knew_neither_scopes_nor_files_below():
    file = without(LayoutFile, dict.fromkeys(ORIGIN))
    replaced = {**dict.fromkeys(("program", "script", "interpreter"), file), "text_size": ctypes.c_uint32 * 9}
    layout = without(Introduction, {**replaced, "scopes": None})
    header = layout(program=file(inode=3), text_bytes=6)
    header.text_size[0], header.text_size[8], header.path_flags[0] = 2, 4, PRESENT
    raw = bytes(header)[: layout.text.offset] + b"x\0A=1\0"
    texts = {name: number for name, number in enum("text").items() if name != "TEXT_ORIGIN_PATH"}
    found = Decoder(Layouts(LAYOUTS.key, layout, {**vocabulary(), "text": texts})).introduction(raw)
    assert found.pathname == KernelPath(b"/x")
    assert found.env == b"A=1\0"
    assert (found.program.inode, found.program.origin, found.origin_path) == (3, None, None)
