"""A guest that does not finish is ended with a reason, and is booted again only if the emulator is to blame."""

import threading
import time

import pytest

from tests.vm import guest
from tests.vm.guest import Deadlines, Machine, boot
from tests.vm.kernels import NEWEST

pytestmark = pytest.mark.usefixtures("guests")  # those of other tests boot meanwhile

PANIC = "echo c > /proc/sysrq-trigger"
PANICKED = "Kernel panic - not syncing: sysrq triggered crash"


@pytest.fixture
def boots(monkeypatch):
    """Return how often this thread has booted a guest."""
    started, running, here = [], guest._qemu, threading.get_ident()

    def counted(*arguments):
        if threading.get_ident() == here:
            started.append(1)
        return running(*arguments)

    monkeypatch.setattr(guest, "_qemu", counted)
    return started


def test_a_kernel_that_panics_is_reported_with_its_last_words_and_not_booted_again(kernels, boots):
    result = boot(Machine(NEWEST), PANIC)
    assert result.status is None
    assert "the guest ended by itself" in result.output
    assert PANICKED in result.output
    assert len(boots) == 1


def test_a_known_fault_of_the_emulator_is_retried_once(kernels, boots, monkeypatch, capsys):
    monkeypatch.setattr(guest, "EMULATOR_FAILURES", {"a fault": PANICKED})
    assert boot(Machine(NEWEST), PANIC).status is None
    assert len(boots) == 2
    assert "booting 7.3 once more: a fault" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("deadlines", "words"),
    [(Deadlines(silent_seconds=15), "has said nothing for 15 s"), (Deadlines(seconds=15), "not finished after 15 s")],
    ids=["silent", "endless"],
)
def test_a_guest_that_hangs_is_ended_and_its_last_words_are_reported(kernels, boots, deadlines, words):
    started = time.monotonic()
    result = boot(Machine(NEWEST), "echo last words; sleep 1000", deadlines)
    assert time.monotonic() - started < 500
    assert result.status is None
    assert words in result.output
    assert len(boots) == 1
