"""The files that an introduction refers to."""

from dataclasses import replace

from exporter.events.decode import Decoder, ExecKey, File, Identity, KernelPath
from exporter.events.labels import Labels, labels_of
from exporter.novelty.executed_file import executed_files
from exporter.probe.exec_header import enum
from tests.unit.layouts import LAYOUTS, key, record

NOTHING = Decoder(LAYOUTS).introduction(record(key()))
FLAGS = enum("key_flag")
IDS = Identity(1, (8, 1), 2, 3, 4), Identity(5, (8, 1), 6, 7, 8)
FILE = File((8, 1), 1, 3, 0o100755, 10, 1, 2, None, None)
LOADER = replace(FILE, inode=5)


def files(flags=(), **fields):
    one = ExecKey("null", sum(FLAGS[f"KEY_{flag.upper()}"] for flag in flags))
    introduction = replace(NOTHING, **{"pid": 9, "ppid": 8, "start_time": 7, "time": 6, **fields})
    return executed_files(one, introduction, IDS, labels_of(one, introduction))


def test_a_dynamic_program_and_its_elf_interpreter():
    program, loader = files(
        pathname=KernelPath(b"/bin/true"), program=FILE, interpreter_pathname=KernelPath(b"/ld.so"), interpreter=LOADER
    )
    assert (program.path, program.interpreter, program.identity, program.runs) == ("/bin/true", "/ld.so", IDS[0], True)
    assert (loader.path, loader.interpreter, loader.identity, loader.runs) == ("/ld.so", "", IDS[1], False)
    assert (program.process.pid, program.process.parent, program.process.start_time) == (9, 8, 7)
    assert program.facts.size == 10


def test_a_static_program_is_alone():
    (program,) = files(pathname=KernelPath(b"/bin/static"), program=FILE)
    assert program.name == b"/bin/static"


def test_a_script_that_a_hook_saw():
    script, interpreter = files(
        ["script"],
        script_path=KernelPath(b"/x.sh"),
        script=FILE,
        pathname=KernelPath(b"/bin/dash"),
        program=LOADER,
        interp=b"/bin/sh",
    )
    assert (script.path, script.identity, script.script, script.runs) == ("/x.sh", IDS[0], True, False)
    assert (interpreter.path, interpreter.identity, interpreter.script, interpreter.runs) == (
        "/bin/dash",
        IDS[1],
        False,
        True,
    )


def test_a_script_as_invoked_has_no_facts_but_a_witness():
    script, _ = files(
        ["script", "as_invoked"], cmdpath=b"/x.sh", pathname=KernelPath(b"/bin/dash"), program=LOADER, interp=b"/bin/sh"
    )
    assert (script.name, script.facts) == (b"/x.sh", None)
    assert (script.interpreter_file[0], script.interpreter_file[1].inode) == (b"/bin/dash", 5)


def test_files_without_a_path():
    (memfd,) = files(["memfd"], pathname=KernelPath(b"memfd:x", orphan=True, disconnected=True), program=FILE)
    assert (memfd.path, memfd.name, memfd.memfd, memfd.deleted) == ("[memfd]", None, True, False)
    (deleted,) = files(["deleted"], pathname=KernelPath(b"/opt/x", deleted=True), program=FILE)
    assert (deleted.path, deleted.name, deleted.deleted) == ("[deleted]", b"/opt/x", True)
    (cut,) = files(["truncated"], pathname=KernelPath(b"y/z", cut=True), program=FILE)
    assert cut.name is None


def test_a_name_is_not_taken_from_a_label_that_was_escaped():
    (program,) = files(pathname=KernelPath(b"/a\\b\xff"), program=FILE)
    assert program.name == b"/a\\b\xff"


def test_setuid():
    (program,) = files(pathname=KernelPath(b"/x"), program=replace(FILE, mode=0o104755))
    assert program.setuid
    assert not files(pathname=KernelPath(b"/x"), program=FILE)[0].setuid


def test_a_file_that_the_kernel_does_not_show_is_unknown():
    assert files() == ()


def test_files_of_a_key_without_an_introduction():
    plain = ExecKey("null", 0)
    (found,) = executed_files(plain, None, IDS, Labels("/opt/x\\\\y", "/ld.so", "null"))
    assert (found.name, found.facts.inode, found.facts.ctime, found.facts.size) == (b"/opt/x\\y", 1, 3, None)
    assert executed_files(plain, None, IDS, Labels("unknown", "unknown", "null")) == ()
    nowhere = IDS[0]._replace(inode=0), IDS[1]
    assert executed_files(plain, None, nowhere, Labels("/opt/x", "", "null")) == ()
    invoked = ExecKey("null", FLAGS["KEY_AS_INVOKED"] | FLAGS["KEY_SCRIPT"])
    (script,) = executed_files(invoked, None, nowhere, Labels("/x.sh", "/bin/sh", "null"))
    assert script.interpreter_file[0] == b"/bin/sh"
