"""Signals to a process of its own: a stop that hangs ends the process."""

import subprocess
import sys

import pytest

START = """
import os, signal
from exporter.service.stop import Stop
stop, reloads = Stop(), []
stop.reload = lambda: reloads.append(1)
"""


def printed(code):
    command = [sys.executable, "-c", START + code]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stderr == ""
    return result.stdout


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_that_came_before_the_wait_stops(name):
    assert printed(f"stop.running(); os.kill(os.getpid(), signal.{name}); print(stop.wait())") == "True\n"


def test_each_hangup_is_a_reload_and_no_stop_also_during_the_start():
    code = """
os.kill(os.getpid(), signal.SIGHUP)
stop.running()
for number in (signal.SIGHUP, signal.SIGTERM):
    os.kill(os.getpid(), number)
print([stop.wait() for _ in range(3)], len(reloads))
"""
    assert printed(code) == "[False, False, True] 2\n"


def test_time_that_is_over_is_no_stop():
    assert printed("stop.running(); print(stop.wait(0.001))") == "False\n"
