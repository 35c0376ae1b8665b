"""Kills at each step of a handover, and at random moments of a storm, neither lose nor double an execution."""

import os
import random
import re
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.kernel.command import DEADLINE_SECONDS
from tests.kernel.pinned import bpffs, executed, pinning, samples, value
from tests.kernel.programs import execute, static_elf
from tests.kernel.test_pins import never_fall
from tests.repetition import one_of_each, repetitions

pytestmark = [pytest.mark.native, pytest.mark.timeout(900)]
KILLED_AT = [sys.executable, str(Path(__file__).parent / "killed_at.py")]
SECONDS = repetitions(6, exhaustive=120)
STARTS_PER_UPGRADE = repetitions(2, exhaustive=4)
LAYOUTS = (["--bpf.map-entries=65536"], ["--bpf.map-entries=81920"])


@pytest.fixture
def pins(tmp_path):
    with bpffs(tmp_path / "bpf") as directory:
        yield directory / "exec_exporter"


def steps_of(pins, *arguments):
    """Return the steps of a start of the exporter, in order."""
    with pinning(pins, *arguments, command=[*KILLED_AT, "0"]) as service:
        return re.findall(r"^step: (.*)$", service.said, re.MULTILINE)


def different(steps):
    """Return the numbers of the steps that differ from the one before, from 1."""
    return [number for number, (before, step) in enumerate(zip(["", *steps], steps, strict=False), 1) if step != before]


def test_killed_before_each_step_the_next_start_is_right(pins, tmp_path):
    program = static_elf(tmp_path / "static")
    expected = 0

    def execute_some():
        nonlocal expected
        execute(program, 3)
        expected += 3

    with pinning(pins, *LAYOUTS[0]):
        execute_some()
    steps = steps_of(pins, *LAYOUTS[1])
    assert {"rename making-", "fill a slot", "wait", "checkpoint put", "remove gone-"} <= set(steps)
    following = 0
    for number in one_of_each(different(steps), lambda number: kind_of(steps[number - 1])):
        execute_some()
        killed(pins, *LAYOUTS[following], number=number)
        execute_some()
        with pinning(pins, *LAYOUTS[following]) as service:
            execute_some()
            assert executed(service, tmp_path) == {str(program): expected}, steps[number - 1]
        following = 1 - following
        assert len([one for one in pins.iterdir() if one.name.isdecimal()]) == 1


def kind_of(step):
    """Return what a step changes, except for the renames that end a phase: the short run interrupts each kind once."""
    changed = re.search(r"making-|gone-|hook_|checkpoint", step)
    return changed[0] if changed and not step.startswith("rename") else step


def killed(pins, *arguments, number):
    """Start the exporter and wait until it is killed before the step of that number; it may serve by then."""
    command = [*KILLED_AT, f"{number}"]
    try:
        with pinning(pins, *arguments, command=command, status=-signal.SIGKILL) as service:
            service.process.wait(DEADLINE_SECONDS)
    except AssertionError as error:
        assert "did not start" in str(error)  # noqa: PT017 - it need not be raised


class Storm:
    """A thread that executes programs all the time; `counts` has how often each was executed, valid after the end."""

    def __init__(self, programs, rate):
        self.counts, self._programs, self._stop = dict.fromkeys(programs, 0), programs, threading.Event()
        self._period = len(programs) / rate
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _run(self):
        following = time.monotonic()
        while not self._stop.is_set():
            for program in self._programs:
                os.waitpid(os.posix_spawn(program, [program], {}), 0)
                self.counts[program] += 1
            following += self._period
            time.sleep(max(0.0, following - time.monotonic()))


def test_a_storm_with_crashes_and_upgrades_is_counted_to_the_last_one(pins, tmp_path):
    """Kill at random moments, with two pauses and three upgrades to another layout; no series goes down."""
    programs = [str(static_elf(tmp_path / f"elf-{number}", salt=bytes([number]))) for number in range(10)]
    seen, restarts, upgrades, end = [], 0, 0, time.monotonic() + SECONDS
    with pinning(pins, *LAYOUTS[0]):  # executions before the first start are not counted
        pass
    with Storm(programs, rate=2000) as storm:
        while time.monotonic() < end or upgrades < 3:
            upgrades += restarts % STARTS_PER_UPGRADE == STARTS_PER_UPGRADE - 1
            with pinning(pins, *LAYOUTS[upgrades % 2], status=-signal.SIGKILL) as service:
                for _ in range(random.randint(1, 4)):
                    now = samples(service, tmp_path)
                    never_fall(seen, now)
                    seen = now
                    time.sleep(random.random() * 0.3)
                service.process.kill()
            restarts += 1
            if restarts in (2, 4):
                time.sleep(min(10, SECONDS / 12))
    with pinning(pins, *LAYOUTS[0]) as service:
        assert executed(service, tmp_path) == storm.counts
        assert value(service, "exec_exporter_executions_lost_total") == 0
    print(f"{sum(storm.counts.values())} executions, {restarts} kills, {upgrades} upgrades")
