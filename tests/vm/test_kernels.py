"""The kernel tier, run by each kernel."""

import json
import re
import shlex

import pytest

from tests.vm.conftest import WHOLE_MATRIX, Boot
from tests.vm.facts import MARK
from tests.vm.guest import Machine
from tests.vm.kernels import MATRIX, NEWEST, OLDEST
from tests.vm.support import SUPPORT
from tests.vm.user_space import python_of

# What of the kernel tier depends on the kernel most, and takes a minute.
ESSENTIAL = ["test_executions.py", "test_scripts.py"]
# 20,000 executions take a guest ten minutes, and the figures of a cost say nothing where all is emulated.
TOO_LONG = ["test_every_execution_of_a_storm_is_counted", "test_a_full_map_loses_by_name_and_the_sum_stays_exact"]
# Skips that are known, by their reasons; any other skip fails.
EXPECTED_SKIPS = (r"no block device can be opened here", r"no hook for scripts here", r"no typed loads here")


def tier(kernel):
    """The boot of a kernel into the kernel tier, or the part of it that there is time for."""
    python = python_of(kernel.arch)
    files = ["tests/kernel"] if WHOLE_MATRIX else [f"tests/kernel/{name}" for name in ESSENTIAL]
    options = ["-p", "no:cacheprovider", "--color=no", "-q", "-k", f"not ({' or '.join(TOO_LONG)})"]
    pytest_command = shlex.join([python, "-m", "pytest", *files, *options])
    return Boot(kernel.name, Machine(kernel), f"{python} -m tests.vm.facts && {pytest_command}", 2700)


BOOTS = [tier(kernel) for kernel in (MATRIX if WHOLE_MATRIX else (OLDEST, NEWEST))]


@pytest.mark.parametrize("boot", BOOTS, ids=lambda boot: boot.name)
def test_the_kernel_tier_passes(boot, result, record_property):
    record_property("seconds", round(result.seconds))
    assert result.status == 0, result.output
    assert re.search(r"\d+ passed", result.output), result.output
    for line in re.findall(r"^SKIPPED.*$", result.output, re.MULTILINE):
        assert any(re.search(reason, line) for reason in EXPECTED_SKIPS), line
    SUPPORT[boot.name] = json.loads(re.search(rf"^{MARK}(.*)$", result.output, re.MULTILINE)[1])


@pytest.mark.parametrize("boot", BOOTS, ids=lambda boot: boot.name)
def test_the_kernel_that_booted_is_the_one_that_was_meant(boot, result):
    assert f'"release": "{boot.machine.kernel.release}"' in result.output


@pytest.mark.parametrize("boot", BOOTS, ids=lambda boot: boot.name)
def test_what_is_missing_there_is_what_its_types_said_without_booting(boot, result):
    facts = json.loads(re.search(rf"^{MARK}(.*)$", result.output, re.MULTILINE)[1])
    assert set(facts["missing"]) == boot.machine.kernel.missing
