"""Guests that lack something: the exporter works with less, or explains in one line why it cannot."""

import json

import pytest

from tests.vm.conftest import WHOLE_MATRIX, Boot
from tests.vm.guest import Machine
from tests.vm.kernels import BY_NAME, NEWEST, OLDEST
from tests.vm.tier import pytest_command
from tests.vm.user_space import python_of

PYTHON = python_of(NEWEST.arch)
CHECK = f"{PYTHON} -m exporter --check"
CGROUP2 = "mount -t cgroup2 cgroup2 /sys/fs/cgroup"
CGROUP1 = """mount -t tmpfs cgroup /sys/fs/cgroup
for controller in cpu memory pids; do
    mkdir /sys/fs/cgroup/$controller && mount -t cgroup -o $controller cgroup /sys/fs/cgroup/$controller
done"""
# Disarmed kprobes and functions that may not be traced attach and never fire. 7.3 has no option for the latter.
DISARM_KPROBES = "echo 0 > /sys/kernel/debug/kprobes/enabled"
SWITCH_TRACING_OFF = "echo 0 > /proc/sys/kernel/ftrace_enabled"
COUNTING = pytest_command(NEWEST.arch, "tests/kernel/test_executions.py", "-k", "elf or script or stdin")
STORM = pytest_command(NEWEST.arch, "tests/kernel/test_exact.py", "-k", "storm or under_load")
# sleep(1) is executed until there is a record of it.
TRACE = f"""{PYTHON} -m exporter trace --count=1 >/run/record &
timeout 300 sh -c 'until [ -s /run/record ]; do sleep 0.5; done'; cat /run/record"""


def machine(name, *preparations, kernel=NEWEST, command=CHECK, **options):
    prepare = "\n".join(preparations or (CGROUP2,))
    return Boot(name, Machine(kernel, prepare=prepare, **options), command)


NO_BTF = machine("no BTF", CGROUP2, "mount -t tmpfs none /sys/kernel/btf")
LOCKDOWN = machine("lockdown", append="lockdown=confidentiality")
NO_KPROBES = machine("kprobes disarmed", CGROUP2, DISARM_KPROBES)
TRACED = BY_NAME["6.18"]
NO_HOOKS = machine(
    "no hook fires", CGROUP2, DISARM_KPROBES, SWITCH_TRACING_OFF, kernel=TRACED, command=f"{CHECK} && {COUNTING}"
)
MOUNTS = "grep cgroup /proc/mounts"
ONLY_V2 = machine("cgroup v2 only", append="cgroup_no_v1=all", command=f"{MOUNTS}; {TRACE}")
ONLY_V1 = machine("cgroup v1 only", CGROUP1, command=f"{MOUNTS}; {TRACE}")
ONLY_V1_OLDEST = machine("cgroup v1 only, oldest", CGROUP1, kernel=OLDEST, command=ONLY_V1.command)
CPUS = [
    machine(f"{cpus} CPUs, {kernel.name}", kernel=kernel, cpus=cpus, command=f"nproc; {STORM}")
    for kernel in (BY_NAME["6.1"], NEWEST)
    for cpus in (1, 4)
]


def of(*boots):
    return pytest.mark.parametrize("boot", boots, ids=lambda boot: boot.name)


def one_line(result):
    assert result.status == 1, result.output
    lines = result.output.splitlines()
    assert len(lines) == 1, result.output
    return lines[0]


def record_of(result):
    assert result.status == 0, result.output
    return json.loads(result.output.splitlines()[-1])


@of(NO_BTF)
def test_without_btf_it_refuses_with_the_remedy(boot, result):
    said = one_line(result)
    assert "/sys/kernel/btf/vmlinux" in said
    assert "CONFIG_DEBUG_INFO_BTF=y" in said


@of(LOCKDOWN)
def test_under_lockdown_for_confidentiality_it_refuses_with_the_remedy(boot, result):
    said = one_line(result)
    assert "lockdown is in confidentiality mode" in said
    assert "lockdown=integrity" in said


if WHOLE_MATRIX:

    @of(NO_KPROBES)
    def test_with_kprobes_disarmed_another_hook_knows_scripts(boot, result):
        assert result.status == 0, result.output
        assert "scripts: identified by file, using fentry" in result.output

    @of(NO_HOOKS)
    def test_hooks_that_attach_and_never_fire_are_noticed_and_scripts_identified_nevertheless(boot, result):
        assert result.status == 0, result.output
        assert "scripts: identified by file, without a hook" in result.output
        assert "kprobe: attached and never fired" in result.output

    @of(ONLY_V2)
    def test_with_cgroup_v2_only(boot, result):
        record = record_of(result)
        assert " cgroup2 " in result.output
        assert " cgroup rw" not in result.output
        assert record["cgroup"] == 1  # the root directory, in which all processes of this guest run
        assert "cgroup" not in record["unavailable"]

    @of(ONLY_V1, ONLY_V1_OLDEST)
    def test_with_cgroup_v1_only_the_record_says_that_there_is_no_id(boot, result):
        record = record_of(result)
        assert " cgroup rw" in result.output
        assert " cgroup2 " not in result.output
        assert record["cgroup"] is None
        assert record["unavailable"]["cgroup"] == "cgroup v2 is not mounted on this machine"

    @of(*CPUS)
    def test_with_another_number_of_cpus_a_storm_is_counted_exactly(boot, result):
        assert result.status == 0, result.output
        assert result.output.splitlines()[0] == str(boot.machine.cpus)
