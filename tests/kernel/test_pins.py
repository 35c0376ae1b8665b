"""A pinned probe counts while no exporter runs, and the next exporter continues with its exact counts."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from exporter.compiler.btf import BTF
from exporter.compiler.kernel_functions import TYPED_TRACEPOINT
from exporter.kernel.blob_map import BlobMap
from exporter.kernel.bpf_map import ARRAY, Map
from exporter.kernel.bpf_syscall import ProgramKind, load, pin, pinned
from exporter.kernel.bpffs import Pins
from exporter.kernel.dispatcher import EXIT, MOVE, fill
from exporter.kernel.instructions import INSTRUCTION
from exporter.metrics.checkpoint import FORMAT, Checkpoint
from exporter.probe.program import RAW, TYPED
from exporter.service.pinned_generation import Generation, description_map
from tests.kernel.bpf_objects import bpf_objects, gone
from tests.kernel.command import COMMAND, KEEPING_NOTHING, refused
from tests.kernel.novel import watching
from tests.kernel.pinned import PROGRAMS, bpffs, executed, pinning, samples, unpin, value
from tests.kernel.programs import execute, script, static_elf
from tests.repetition import repetitions
from tests.waiting import until

pytestmark = pytest.mark.native
CYCLES = repetitions(3, exhaustive=100)
PACKAGE = Path(__file__).resolve().parents[2]


@pytest.fixture
def pins(tmp_path):
    with bpffs(tmp_path / "bpf") as directory:
        yield directory / "exec_exporter"


def kill(service):
    """End the service as a crash does."""
    service.process.kill()


def test_a_stop_does_not_wait_for_programs_to_be_read_and_the_next_start_reads_them(pins, tmp_path):
    """At this rate, reading takes for ever."""
    programs = [static_elf(tmp_path / f"new-{number}", salt=b"%d" % number) for number in range(5)]
    for program in programs:
        os.truncate(program, 64 << 20)
    with watching(tmp_path, f"--bpf.pin-path={pins}"):
        pass
    with watching(tmp_path, f"--bpf.pin-path={pins}", "--content.bytes-per-second=1024") as host:
        for program in programs:
            execute(program)
        until(lambda: value(host.service, PROGRAMS, path=str(programs[-1])) == 1)
    assert host.rows(tmp_path / "new") == []
    with watching(tmp_path, f"--bpf.pin-path={pins}") as host:
        until(lambda: len(host.rows(tmp_path / "new")) == len(programs))
        found = {path: content for path, _, content, _ in host.rows(tmp_path / "new")}
    assert found == {str(program): hashlib.sha256(program.read_bytes()).hexdigest() for program in programs}


def all_programs(directory):
    """Return programs of several kinds, with the number of times that `run` executes each."""
    return {
        static_elf(directory / "static"): 7,
        static_elf(directory / "other", salt=b"other"): 11,
        script(directory / "script"): 13,
    }


def run(programs):
    for path, times in programs.items():
        execute(path, times)


def times(programs, factor):
    return {str(path): factor * number for path, number in programs.items()}


def test_counting_goes_on_with_no_exporter_and_the_next_one_compiles_nothing(pins, tmp_path):
    programs = all_programs(tmp_path)
    with pinning(pins, status=-signal.SIGKILL) as service:
        assert value(service, "exec_exporter_pinned") == 1
        run(programs)
        assert executed(service, tmp_path) == times(programs, 1)
        kill(service)
        service.process.wait()
        run(programs)
        with pinning(pins) as following:
            assert "continues" in following.said
            assert executed(following, tmp_path) == times(programs, 2)
            run(programs)
            mapped = Path(f"/proc/{following.process.pid}/maps").read_text()
            assert "LLVM" not in mapped
            assert "libbpf" in mapped
            assert executed(following, tmp_path) == times(programs, 3)
        service.process.send_signal = lambda _: None
    run(programs)
    with pinning(pins) as last:
        assert executed(last, tmp_path) == times(programs, 4)


def test_a_program_first_executed_with_no_exporter_has_its_name(pins, tmp_path):
    with pinning(pins):
        pass
    programs = all_programs(tmp_path)
    run(programs)
    with pinning(pins) as service:
        assert executed(service, tmp_path) == times(programs, 1)


def test_exits_failures_and_forks_go_on_too(pins, tmp_path):
    program = static_elf(tmp_path / "fails", status=3)
    with pinning(pins) as service:
        execute(program, 5, ends=3)
        before = samples(service, tmp_path)
    execute(program, 6, ends=3)
    with pinning(pins) as service:
        assert value(service, "exec_exits_total", path=str(program), outcome="failure") == 11
        assert value(service, "exec_lifetime_seconds_count", path=str(program)) == 11
        never_fall(before, samples(service, tmp_path))


def never_fall(before, after):
    """Assert that no counter goes down or vanishes."""
    now = {(s.name, *sorted(s.labels.items())): s.value for s in after}
    for sample in before:
        if sample.name.startswith("exec_") and sample.name.endswith(("_total", "_count", "_sum", "_bucket")):
            if sample.name.startswith("exec_exporter_probe_run"):
                continue
            assert now[(sample.name, *sorted(sample.labels.items()))] >= sample.value, sample


OTHERS = {
    "a smaller map": ["--bpf.map-entries=4096"],
    "another ring": ["--bpf.ring-buffer-pages=64"],
    "another map of processes": ["--bpf.process-entries=16384"],
    "fewer collectors": ["--no-collector.processes", "--no-collector.traits"],
    "fewer collectors that need no other program": ["--no-collector.failures", "--no-collector.forks"],
}


def test_other_layouts_take_over_and_nothing_is_lost(pins, tmp_path):
    """Each layout takes over from the one before, and the default from the last."""
    programs, factor, before = all_programs(tmp_path), 0, []
    for layout, arguments in {"default": [], **OTHERS, "default again": []}.items():
        with pinning(pins, *arguments) as service:
            assert ("took over" in service.said) == (layout != "default"), layout
            assert executed(service, tmp_path) == (times(programs, factor) if factor else {}), layout
            if not any(argument.startswith("--no-collector") for argument in arguments):  # their series vanish
                never_fall(before, samples(service, tmp_path))
            run(programs)
            before = samples(service, tmp_path)
            run(programs)  # counted by the probe, not read by this exporter
        run(programs)
        factor += 3
        assert len([pin for pin in pins.iterdir() if pin.name.isdecimal()]) == 1


@pytest.fixture
def upgraded(tmp_path):
    """Return the command of another version of the exporter, whose keys and values have other layouts."""
    other = tmp_path / "upgraded"
    for name in ("exporter", "bpf"):
        shutil.copytree(PACKAGE / name, other / name)
    header = other / "bpf/exec.h"
    text = header.read_text()
    changed = text.replace("\tu32 stdin_type;\n\tu32 flags;\n", "\tu32 flags;\n\tu32 stdin_type;\n")
    changed = changed.replace("\tu64 introduced; /*", "\tu64 another_member;\n\tu64 introduced; /*")
    changed = changed.replace("\tCOUNTER_PROBE_RUNS,", "\tCOUNTER_ANOTHER,\n\tCOUNTER_PROBE_RUNS,")
    changed = changed.replace("\tTEXTS,", "\tTEXT_ANOTHER,\n\tTEXTS,")
    changed = changed.replace("KEY_SCRIPT = 1,", "KEY_SCRIPT = 2,").replace(
        "KEY_FROM_KERNEL = 2,", "KEY_FROM_KERNEL = 1,"
    )
    changed = changed.replace("\tSTDIN_NULL,\n", "").replace("\tSTDIN_FILE,\n", "\tSTDIN_NULL,\n\tSTDIN_FILE,\n")
    assert all(changed.count(name) == 1 for name in ("TEXT_ANOTHER", "KEY_SCRIPT = 2", "KEY_FROM_KERNEL = 1"))
    assert changed.index("STDIN_NULL") < changed.index("STDIN_FILE")
    assert (changed.count("another_member"), changed.count("COUNTER_ANOTHER")) == (1, 1)
    assert changed.index("u32 flags") < changed.index("u32 stdin_type")
    header.write_text(changed)
    return ["env", f"PYTHONPATH={other}", sys.executable, "-P", "-m", "exporter"]


def test_an_upgrade_to_other_keys_values_and_counters(pins, tmp_path, upgraded):
    programs = all_programs(tmp_path)
    with pinning(pins) as service:
        run(programs)
        before = samples(service, tmp_path)
    run(programs)
    new = {}
    for command, factor in ((upgraded, 2), (COMMAND, 3)):
        unnamed = {script(tmp_path / f"script-{factor}"): 5, static_elf(tmp_path / f"static-{factor}"): 3}
        run(unnamed)  # which only a record of the older probe names
        new |= times(unnamed, 1)
        with pinning(pins, command=command) as service:
            assert "took over" in service.said
            assert executed(service, tmp_path) == times(programs, factor) | new
            stdin_types = {
                sample.labels["stdin_type"] for sample in samples(service, tmp_path) if sample.name == PROGRAMS
            }
            assert stdin_types == {"null"}
            never_fall(before, samples(service, tmp_path))
            before = samples(service, tmp_path)
        run(programs)


def test_a_novel_program_of_the_gap_is_a_finding_with_its_arguments(pins, tmp_path):
    with watching(tmp_path, f"--bpf.pin-path={pins}", "--record.argv-bytes=4096"):
        pass
    program = static_elf(tmp_path / "novel", salt=os.urandom(8))
    arguments = [f"argument-{number}" for number in range(16)]
    os.waitpid(os.posix_spawn(program, arguments, {}), 0)
    with watching(tmp_path, f"--bpf.pin-path={pins}", "--record.argv-bytes=4096") as host:
        host.catch_up()
        ((_, reason, _, record),) = host.rows(program)
        assert reason == "new_path"
        assert record["argv"] == arguments
        host.catch_up()
        assert len(host.rows(program)) == 1


def test_cycles_leave_one_generation_and_unpin_leaves_nothing(pins, tmp_path):
    before = bpf_objects()
    for _ in range(CYCLES):
        with pinning(pins):
            pass
    assert [one.name for one in pins.iterdir() if one.name.isdecimal()] == ["1"]
    one = bpf_objects() - before
    with pinning(pins):
        pass
    assert gone(before | one) == set()
    assert "generation 1" in unpin(pins)
    assert not pins.exists()
    assert gone(before) == set()
    assert "nothing is pinned" in unpin(pins)


def test_unpin_on_stop(pins):
    before = bpf_objects()
    with pinning(pins, "--bpf.unpin-on-stop"):
        assert bpf_objects() - before
    assert gone(before) == set()


def test_a_second_exporter_is_refused_unless_it_pins_elsewhere(pins):
    with pinning(pins) as service:
        status, said = refused("--web.listen-address=127.0.0.1:0", "--catalogue.path=", f"--bpf.pin-path={pins}")
        assert status == 1
        assert f"pid {service.process.pid})" in said
        assert said.count("\n") == 1
        assert f"pid {service.process.pid})" in unpin(pins, status=1)
        with pinning(pins.with_name("other")) as other:
            assert value(other, "exec_exporter_pinned") == 1


def test_without_a_bpffs_it_logs_that_and_counts_unpinned(tmp_path):
    program = static_elf(tmp_path / "static")
    with pinning(tmp_path / "pins") as service:
        assert "nothing is pinned" in service.said
        assert "is not in a bpffs" in service.said
        assert value(service, "exec_exporter_pinned") == 0
        execute(program, 3)
        assert executed(service, tmp_path) == {str(program): 3}


def test_pins_of_others_are_set_aside(pins, tmp_path):
    with pinning(pins):
        pass
    os.chown(pins / "checkpoint", 65534, 65534)
    program = static_elf(tmp_path / "static")
    execute(program, 3)
    with pinning(pins) as service:
        assert "belongs to uid 65534" in service.said
        execute(program, 2)
        assert executed(service, tmp_path) == {str(program): 2}
    (aside,) = pins.parent.glob("exec_exporter-foreign-*")
    os.chown(aside / "checkpoint", 0, 0)
    unpin(aside)


def unreadable_checkpoint(pins):
    """Replace the contents of the checkpoint by tables that this version does not know."""
    checkpoint = Checkpoint(BlobMap(Map.of(pinned(os.fsencode(pins / "checkpoint")))))
    checkpoint.load()
    assert checkpoint.save(lambda whole: {"of": {"another version": []}} if whole else {})
    checkpoint.close()


def test_damaged_pins_are_not_adopted_and_saved_counts_stay(pins, tmp_path):
    """Each start finds other damage; only without a readable checkpoint it counts from 0."""
    program, total = static_elf(tmp_path / "static"), 3
    removed = ("1/map_execs", "1/description", "checkpoint", "1/program_on_exec")
    damages = {name: lambda name=name: (pins / name).unlink() for name in removed}
    with pinning(pins):
        execute(program, 3)
    for name, damage in {**damages, "": lambda: unreadable_checkpoint(pins)}.items():
        damage()
        with pinning(pins) as service:
            assert "is damaged" in service.said
            execute(program, 2)
            total = 2 + (total if name.startswith("1/") else 0)
            assert executed(service, tmp_path) == {str(program): total}


def remove(path):
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def test_pins_removed_while_nothing_runs(pins, tmp_path):
    """Without its link, or its slot, which the kernel then empties, the probe counts nothing until the next start."""
    program, total = static_elf(tmp_path / "static"), 3
    with pinning(pins):
        execute(program, 3)
    for names, lost in (
        (["dispatcher_on_exec"], ""),
        (["slot_on_exit", "link_on_fork"], ""),
        (["slot_on_exec"], ": slot_on_exec; executions since"),
        (["link_on_exec"], ": link_on_exec; executions since"),
        (["1"], ": the probe; counts since"),
    ):
        for name in names:
            remove(pins / name)
        execute(program, 5)
        with pinning(pins) as service:
            execute(program, 7)
            total += 7 if lost else 12
            assert executed(service, tmp_path) == {str(program): total}, names
            assert ("removed from" in service.said, lost in service.said) == (bool(lost), True)
            assert value(service, "exec_exporter_probe_attached") == 1


def test_pins_removed_by_hand_come_back_and_no_count_is_lost(pins, tmp_path):
    program, total, restored = static_elf(tmp_path / "static"), 3, 0
    with pinning(pins) as service:
        execute(program, 3)
        before = {one.relative_to(pins) for one in pins.rglob("*")}
        for names in ([""], ["1"], ["1/map_execs", "link_on_exec"]):
            restored += sum(one.is_file() for name in names for one in [pins / name, *(pins / name).rglob("*")])
            for name in names:
                remove(pins / name)
            execute(program, 5)
            total += 5
            assert executed(service, tmp_path) == {str(program): total}
            assert {one.relative_to(pins) for one in pins.rglob("*")} == before
            assert value(service, "exec_exporter_probe_repairs_total", object="pin") == restored
            assert value(service, "exec_exporter_pinned") == 1
        subprocess.run(["umount", "--lazy", pins.parent], check=True)
        execute(program, 5)
        assert executed(service, tmp_path) == {str(program): total + 5}
        assert value(service, "exec_exporter_pinned") == 0
        assert service.get("/-/ready") == b"OK\n"
        subprocess.run(["mount", "-t", "bpf", "bpf", pins.parent], check=True)
        assert value(service, "exec_exporter_pinned") == 1
    execute(program, 11)
    with pinning(pins) as service:
        assert "continues" in service.said
        assert executed(service, tmp_path) == {str(program): total + 16}


def test_a_slot_without_the_probe_is_noticed_and_filled_again(pins, tmp_path):
    """Executions in between are not counted; all before and after are."""
    program, total = static_elf(tmp_path / "static"), 3
    with pinning(pins) as service:
        execute(program, 3)
        slot = Map.of(pinned(os.fsencode(pins / "slot_on_exec")))
        for repairs, empty in enumerate((lambda: slot.remove(bytes(4)), lambda: fill(slot, another_program(service)))):
            assert executed(service, tmp_path) == {str(program): total}
            empty()
            execute(program, 5)
            assert repairs < until(
                lambda: value(service, "exec_exporter_probe_repairs_total", object="slot"), what="the slot is filled"
            )
            counted = executed(service, tmp_path)[str(program)] - total
            assert 0 <= counted <= 5
            execute(program, 7)
            total += counted + 7
            assert executed(service, tmp_path) == {str(program): total}
            assert value(service, "exec_exporter_probe_attached") == 1
        os.close(slot.fd)
    with pinning(pins) as service:
        assert executed(service, tmp_path) == {str(program): total}


def another_program(service):
    """A program that does nothing, of the type of the probe."""
    (info,) = [sample for sample in samples(service) if sample.name == "exec_exporter_probe_info"]
    typed = info.labels["program_type"] == TYPED_TRACEPOINT
    number = BTF(Path("/sys/kernel/btf/vmlinux")).typedef("btf_trace_sched_process_exec")
    kind = ProgramKind(*TYPED, number) if typed else RAW
    return load(b"".join(INSTRUCTION.pack(*parts) for parts in ((MOVE, 0, 0, 0), (EXIT, 0, 0, 0))), kind, "nothing")


def pin_of_others(path, name="theirs"):
    """Pins a map that is not the exporter's."""
    theirs = Map.create(ARRAY, 4, 8, 1, name=name)
    pin(theirs.fd, os.fsencode(path))
    os.close(theirs.fd)


def test_a_directory_of_others_is_refused_and_stays(pins):
    for directory in (pins, pins / "tc"):
        directory.mkdir()
    for name in ("theirs", "checkpoint", "slot_on_exec"):
        pin_of_others(pins / name, name)
    before = sorted(pins.rglob("*"))
    assert "is not the exporter's: it has not pinned checkpoint, slot_on_exec, tc, theirs" in unpin(pins, status=2)
    status, said = refused(*KEEPING_NOTHING, "--web.listen-address=127.0.0.1:0", f"--bpf.pin-path={pins}")
    assert (status, said.count("\n")) == (2, 1)
    assert "is not the exporter's" in said
    assert sorted(pins.rglob("*")) == before


def test_what_others_pinned_beside_the_exporters_pins_stays(pins):
    with pinning(pins):
        pass
    pin_of_others(pins / "theirs")
    pin_of_others(pins / "1/theirs")
    with pinning(pins) as service:
        assert "which are left alone: theirs" in service.said
        (pins / "theirs").unlink()
        assert value(service, "exec_exporter_probe_repairs_total", object="pin") == 0
        assert not (pins / "theirs").exists()
        pin_of_others(pins / "theirs")
    assert "left what others pinned: theirs" in unpin(pins)
    assert sorted(pins.rglob("*")) == [pins / "1", pins / "1/theirs", pins / "theirs"]


def test_what_others_put_in_the_place_of_pins_is_renamed_and_the_pins_come_back(pins, tmp_path):
    program = static_elf(tmp_path / "static")
    with pinning(pins) as service:
        execute(program, 3)
        before = {one.relative_to(pins) for one in pins.rglob("*")}
        for name in ("link_on_exit", "1/map_execs"):
            (pins / name).unlink()
        pin_of_others(pins / "link_on_exit", "link_on_exit")
        pin_of_others(pins / "1/map_execs", "execs")
        (pins / "checkpoint").unlink()
        (pins / "checkpoint").symlink_to(pins / "1/map_execs")
        assert value(service, "exec_exporter_pinned") == 1
        assert value(service, "exec_exporter_probe_repairs_total", object="pin") == 3
        aside = {one.relative_to(pins) for one in pins.rglob("*")} - before
        assert sorted(str(one).rpartition("-")[0] for one in aside) == [
            "foreign-1-map_execs",
            "foreign-checkpoint",
            "foreign-link_on_exit",
        ]
        assert before <= {one.relative_to(pins) for one in pins.rglob("*")}
    execute(program, 5)
    with pinning(pins) as service:
        assert "continues" in service.said
        assert executed(service, tmp_path) == {str(program): 8}
        assert value(service, "exec_exits_total", path=str(program), outcome="success") == 8


def test_a_generation_with_pins_of_others_is_replaced(pins):
    with pinning(pins):
        pass
    pin_of_others(pins / "1/theirs")
    with pinning(pins, "--no-collector.forks") as service:
        assert "generation 2 took over" in service.said
    with pinning(pins, "--no-collector.forks") as service:
        assert "generation 2 continues" in service.said
    assert (pins / "gone-1/theirs").exists()


def test_pins_of_a_newer_format_are_refused_and_stay(pins):
    with pinning(pins):
        pass
    with closing(Pins(pins)) as opened:
        described = Generation(opened, 1).description()
    (pins / "1/description").unlink()
    newer = description_map({"format": FORMAT + 1, "digest": described["digest"]})
    pin(newer.fd, os.fsencode(pins / "1/description"))
    os.close(newer.fd)
    before = sorted(pins.rglob("*"))
    status, said = refused(*KEEPING_NOTHING, "--web.listen-address=127.0.0.1:0", f"--bpf.pin-path={pins}")
    assert (status, said.count("\n")) == (2, 1)
    assert f"is of format {FORMAT + 1}, of a newer exec_exporter" in said
    assert sorted(pins.rglob("*")) == before
    assert "removed" in unpin(pins)
    assert not pins.exists()


def test_check_describes_the_pins(pins):
    command = [*COMMAND, "--check", f"--bpf.pin-path={pins}"]
    assert "pinned: nothing" in subprocess.run(command, capture_output=True, text=True, check=True).stdout
    with pinning(pins):
        pass
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "pinned: generation 1 " in said
    assert "since " in said
