"""The kernel tier on each kernel."""

import json
import re

import pytest

from tests.skips import KERNEL, unexpected
from tests.vm.conftest import KERNELS, SUPPORT, WHOLE_MATRIX, Boot
from tests.vm.facts import MARK
from tests.vm.guest import Machine
from tests.vm.kernels import NEWEST, OLDEST
from tests.vm.tier import tier_command

BOOTS = [
    Boot(kernel.name, Machine(kernel), tier_command(kernel.arch, whole=WHOLE_MATRIX))
    for kernel in KERNELS
    if WHOLE_MATRIX or kernel in (OLDEST, NEWEST)
]
# Of the million instructions that the verifier follows. Near the limit, a small change would exceed it.
VERIFIED_MOST = 950_000


def facts_of(result):
    found = re.search(rf"^{MARK}(.*)$", result.output, re.MULTILINE)
    assert found, result.output
    return json.loads(found[1])


@pytest.mark.parametrize("boot", BOOTS, ids=lambda boot: boot.name)
def test_the_kernel_tier_passes(boot, result, record_property):
    record_property("seconds", round(result.seconds))
    if WHOLE_MATRIX:
        SUPPORT.forget(boot.name)
    assert result.status == 0, result.output
    assert re.search(r"\d+ passed", result.output), result.output
    assert unexpected(result.output, KERNEL) == []
    if WHOLE_MATRIX:
        SUPPORT.keep(boot.name, facts_of(result))


@pytest.mark.parametrize("boot", BOOTS, ids=lambda boot: boot.name)
def test_the_kernel_that_booted_is_the_one_that_was_meant(boot, result):
    assert facts_of(result)["release"] == boot.machine.kernel.release


@pytest.mark.parametrize("boot", BOOTS, ids=lambda boot: boot.name)
def test_missing_features_are_those_that_its_types_show_without_booting(boot, result):
    assert set(facts_of(result)["missing"]) == boot.machine.kernel.missing


@pytest.mark.parametrize("boot", BOOTS, ids=lambda boot: boot.name)
def test_the_probe_stays_below_the_limit_of_the_verifier(boot, result):
    verified = facts_of(result)["verified"]
    if verified is None:
        assert boot.machine.kernel is OLDEST or boot.machine.kernel.series == OLDEST.series  # not reported
    else:
        assert verified < VERIFIED_MOST
