"""Workloads that execute programs: a tiny one, a dynamic one, a shell that works as configure does, and a build."""

import os
import resource
import subprocess
from contextlib import contextmanager
from functools import partial

from tests.bench.measure import pinned, undisturbed
from tests.kernel.programs import dynamic_elf, execute, static_elf

TINY_EXECUTIONS, WARM = 200, 20
# As configure does: write a small source, examine it with a few tools, and remove it.
CONFIGURE = """
for feature in alloca fork getline mmap poll strdup vfork wait; do
    echo "int main(void) { return $feature(); }" > conftest.$$.c
    if grep -q "$feature" conftest.$$.c && test "$(sed -n 's/.*return \\([a-z]*\\).*/\\1/p' conftest.$$.c)" = "$feature"
    then have=`expr "X$feature" : 'X\\(.*\\)' | tr a-z A-Z`; fi
    cat conftest.$$.c | sort | uniq -c > conftest.$$.out
    rm -f conftest.$$.c conftest.$$.out
done
"""
BUILD_FILES = 8
MAKEFILE = "program: $(patsubst %.c,%.o,$(wildcard *.c))\n\t$(CC) -o $@ $^\n"


class Workload:
    """A workload; `alone` on a CPU if it needs no other."""

    def __init__(self, name, run, warm=lambda: None, alone=True):
        self.name, self._run, self._warm, self._alone = name, run, warm, alone

    def cpu_seconds(self, busy=False):
        """Return the CPU time of one block, with that of its children. On a `busy` machine it has no priority."""
        if not self._alone:
            return self._measured()
        with pinned():
            if busy:
                return self._measured()
            with undisturbed():
                return self._measured()

    def warm(self):
        """Execute a few programs if a block is short: earlier work leaves caches cold."""
        with pinned():
            self._warm()

    def _measured(self):
        before = _cpu_seconds()
        self._run()
        return _cpu_seconds() - before


def _cpu_seconds():
    usages = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def tiny(directory, name):
    """vfork and exec of the smallest program, repeatedly; its arguments are its name."""
    run = partial(execute, static_elf(directory / name), arguments=(name.encode(),))
    return Workload("tiny static", partial(run, times=TINY_EXECUTIONS), partial(run, times=WARM))


def workloads(directory):
    """Return all workloads."""
    yield tiny(directory, "tiny")
    run = partial(execute, dynamic_elf(directory / "dynamic"))
    yield Workload("dynamic", partial(run, times=TINY_EXECUTIONS // 2), partial(run, times=WARM))
    yield Workload("shell", lambda: subprocess.run(["sh", "-ec", CONFIGURE], cwd=directory, check=True))
    project = directory / "project"
    project.mkdir()
    (project / "Makefile").write_text(MAKEFILE, "ascii")
    for number in range(BUILD_FILES):
        body = f"int f{number}(int x) {{ return x * {number}; }}\n"
        (project / f"f{number}.c").write_text(f"#include <stdio.h>\n{body}", "ascii")
    (project / "main.c").write_text("int main(void) { return 0; }\n", "ascii")

    def build():
        subprocess.run(["make", "-s", "-B", f"-j{os.cpu_count()}"], cwd=project, check=True)

    yield Workload("build", build, alone=False)


@contextmanager
def saturated():
    """Run as many shells as there are CPUs, each of which executes true(1) without end."""
    shells = [subprocess.Popen(["sh", "-c", "while :; do /bin/true; done"]) for _ in range(os.cpu_count())]
    try:
        yield
    finally:
        for shell in shells:
            shell.kill()
            shell.wait()
