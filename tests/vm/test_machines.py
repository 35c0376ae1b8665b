"""Machines that lack something, as guests that really lack it: it works with less, or says in one line why not."""

import pytest

from tests.vm.conftest import WHOLE_MATRIX, Boot
from tests.vm.guest import Machine
from tests.vm.kernels import BY_NAME, NEWEST, OLDEST
from tests.vm.user_space import python_of

PYTHON = python_of(NEWEST.arch)
CHECK = f"{PYTHON} -m exporter --check"
CGROUP2 = "mount -t cgroup2 cgroup2 /sys/fs/cgroup"
CGROUP1 = """mount -t tmpfs cgroup /sys/fs/cgroup
for controller in cpu memory pids; do
    mkdir /sys/fs/cgroup/$controller && mount -t cgroup -o $controller cgroup /sys/fs/cgroup/$controller
done"""
# A kprobe that is disarmed and a function whose tracing is off attach, and never fire.
DISARM_KPROBES = "echo 0 > /sys/kernel/debug/kprobes/enabled"
SWITCH_TRACING_OFF = "echo 0 > /proc/sys/kernel/ftrace_enabled"
TESTS = f"{PYTHON} -m pytest -p no:cacheprovider --color=no -q"
COUNTING = f"{TESTS} tests/kernel/test_executions.py -k 'elf or script or stdin'"


def machine(name, *preparations, kernel=NEWEST, command=CHECK, **options):
    prepare = "\n".join(preparations or (CGROUP2,))
    return Boot(name, Machine(kernel, prepare=prepare, **options), command)


NO_BTF = machine("no BTF", CGROUP2, "mount -t tmpfs none /sys/kernel/btf")
LOCKDOWN = machine("lockdown", append="lockdown=confidentiality")
NO_KPROBES = machine("kprobes disarmed", CGROUP2, DISARM_KPROBES, command=f"{CHECK} && {COUNTING}")
NO_HOOKS = machine("no hook fires", CGROUP2, DISARM_KPROBES, SWITCH_TRACING_OFF, command=f"{CHECK} && {COUNTING}")
ONLY_V2 = machine("cgroup v2 only", append="cgroup_no_v1=all", command=f"grep cgroup /proc/mounts; {COUNTING}")
ONLY_V1 = machine("cgroup v1 only", CGROUP1, command=f"grep cgroup /proc/mounts; {COUNTING}")
ONLY_V1_OLDEST = machine("cgroup v1 only, oldest", CGROUP1, kernel=OLDEST, command=ONLY_V1.command)
CPUS = [
    machine(f"{cpus} CPUs, {kernel.name}", kernel=kernel, cpus=cpus, command=f"nproc; {COUNTING}")
    for kernel in (BY_NAME["6.1"], NEWEST)
    for cpus in (1, 4)
]
if not WHOLE_MATRIX:
    CPUS = CPUS[-1:]


def one_line(result):
    assert result.status == 1, result.output
    lines = result.output.splitlines()
    assert len(lines) == 1, result.output
    return lines[0]


@pytest.mark.parametrize("boot", [NO_BTF], ids=lambda boot: boot.name)
def test_without_btf_it_refuses_with_the_remedy(boot, result):
    said = one_line(result)
    assert "/sys/kernel/btf/vmlinux" in said
    assert "CONFIG_DEBUG_INFO_BTF=y" in said


@pytest.mark.parametrize("boot", [LOCKDOWN], ids=lambda boot: boot.name)
def test_under_lockdown_for_confidentiality_it_refuses_with_the_remedy(boot, result):
    said = one_line(result)
    assert "lockdown is in confidentiality mode" in said
    assert "lockdown=integrity" in said


@pytest.mark.parametrize("boot", [NO_KPROBES], ids=lambda boot: boot.name)
def test_with_kprobes_disarmed_another_hook_knows_scripts(boot, result):
    assert result.status == 0, result.output
    assert "scripts: known by their own file, caught by fentry" in result.output


@pytest.mark.parametrize("boot", [NO_HOOKS], ids=lambda boot: boot.name)
def test_hooks_that_attach_and_never_fire_are_noticed_and_scripts_named_as_invoked(boot, result):
    assert result.status == 0, result.output
    assert "scripts: named as they were invoked" in result.output
    assert "kprobe: attached and never fired" in result.output


@pytest.mark.parametrize("boot", [ONLY_V2], ids=lambda boot: boot.name)
def test_with_cgroup_v2_only(boot, result):
    assert result.status == 0, result.output
    assert " cgroup2 " in result.output
    assert " cgroup rw" not in result.output


@pytest.mark.parametrize("boot", [ONLY_V1, ONLY_V1_OLDEST], ids=lambda boot: boot.name)
def test_with_cgroup_v1_only(boot, result):
    assert result.status == 0, result.output
    assert " cgroup rw" in result.output
    assert " cgroup2 " not in result.output


@pytest.mark.parametrize("boot", CPUS, ids=lambda boot: boot.name)
def test_with_another_number_of_cpus(boot, result):
    assert result.status == 0, result.output
    assert result.output.splitlines()[0] == str(boot.machine.cpus)
