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


@pytest.mark.parametrize(("starving", "seconds"), [(True, 1.0), (False, 0.2)], ids=["without CPU", "with CPU"])
def test_what_hangs_is_ended_in_time_in_which_it_could_run(starving, seconds):
    code = f"""
import os, sys, threading, time
from exporter.service import stop as module
module.EXIT_SECONDS, module.STARVED_SECONDS = 0.2, 0.8
module._waited_seconds = lambda: {{"7": time.monotonic() if {starving} else 0.0}}
began = time.monotonic()
module.os._exit = lambda status: print(status, time.monotonic() - began)
reading, writing = os.pipe()
os.write(writing, bytes([signal.SIGTERM]))
module.logging.disable()
module._exit_in_time(reading)
"""
    status, elapsed = printed(code).split()
    assert status == "1"
    assert float(elapsed) >= seconds


def test_waiting_is_what_the_kernel_says():
    code = """
import threading
from exporter.service.stop import _waited_seconds
threads = {str(thread.native_id) for thread in threading.enumerate()}
found = _waited_seconds()
print(threads <= found.keys(), all(seconds >= 0 for seconds in found.values()), "cpu0" in found)
"""
    assert printed(code) == "True True True\n"
