"""Each test drops privileges in a child process, and reads the remaining ones in /proc/<pid>/status."""

import json
import subprocess
import sys

import pytest

from exporter.host.capabilities import CAP_BPF, CAP_DAC_READ_SEARCH, CAP_SETPCAP, CAP_SYS_ADMIN

SCRIPT = """
import json, sys
from exporter.host import capabilities

def status():
    lines = (line.split() for line in open("/proc/self/status"))
    return {line[0][:-1]: int(line[1], 16) for line in lines if line[0].startswith(("Cap", "NoNewPrivs"))}

def works():
    pass

def fails():
    raise OSError(1, "Operation not permitted")

before, returned = status(), ()
exec(sys.argv[1])
print(json.dumps([before, status(), sorted(returned)]))
"""


def after(action):
    """Return the capabilities of a process before and after an action, and the result of the action."""
    command = [sys.executable, "-c", SCRIPT, action]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def bits(*numbers):
    return sum(1 << number for number in numbers)


@pytest.mark.parametrize("keep", [(), (CAP_DAC_READ_SEARCH,)])
def test_only_the_capabilities_to_keep_are_left(keep):
    before, now, returned = after(f"returned = capabilities.drop(works, frozenset({keep}))")
    left = bits(*keep) & before["CapPrm"]
    assert (now["CapEff"], now["CapPrm"], now["CapInh"] & ~before["CapInh"]) == (left, left, 0)
    assert bits(*returned) == left
    assert (now["CapAmb"], now["NoNewPrivs"]) == (0, 1)
    if before["CapEff"] & bits(CAP_SETPCAP):
        assert now["CapBnd"] == bits(*keep) & before["CapBnd"]


def test_capabilities_needed_to_read_maps_are_kept():
    before, now, returned = after("returned = capabilities.drop(fails)")
    needed = CAP_BPF if before["CapPrm"] & bits(CAP_BPF) else CAP_SYS_ADMIN
    assert now["CapEff"] == now["CapPrm"] == bits(*returned) == bits(needed) & before["CapPrm"]


def test_permitted_capabilities_are_put_into_effect():
    permitted = "capabilities._capget()[1]"
    before, now, _ = after(f"capabilities._capset(0, {permitted}); before = status(); capabilities.put_into_effect()")
    assert before["CapEff"] == 0
    assert now["CapEff"] == now["CapPrm"] == before["CapPrm"]
