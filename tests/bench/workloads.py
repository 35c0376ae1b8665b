"""What executes programs: a tiny one, a dynamic one, a shell that works as configure does, and a build."""

import os
import resource
import subprocess
from contextlib import contextmanager
from functools import partial

from tests.bench.measure import pinned, undisturbed
from tests.kernel.programs import dynamic_elf, execute, static_elf

TINY_EXECUTIONS, WARM = 200, 20
# As configure does: writes a little source, looks at it with a handful of tools, and removes it.
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
    """Something that executes programs; `alone` on a CPU if it needs no other."""

    def __init__(self, name, run, warm=lambda: None, alone=True):
        self.name, self._run, self._warm, self._alone = name, run, warm, alone

    def cpu_seconds(self, busy=False):
        """CPU time of one block of it, its programs' with it. On a `busy` machine it has no right of way."""
        if not self._alone:
            return self._measured()
        with pinned():
            if busy:
                return self._measured()
            with undisturbed():
                return self._measured()

    def warm(self):
        """Executes a few if a block of it is short: what was done before leaves caches cold."""
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
    """vfork and exec of the smallest program, again and again; its arguments are its name."""
    run = partial(execute, static_elf(directory / name), arguments=(name.encode(),))
    return Workload("tiny static", partial(run, times=TINY_EXECUTIONS), partial(run, times=WARM))


def workloads(directory):
    """All of them."""
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
    """As many shells as there are CPUs execute true(1) without end."""
    shells = [subprocess.Popen(["sh", "-c", "while :; do /bin/true; done"]) for _ in range(os.cpu_count())]
    try:
        yield
    finally:
        for shell in shells:
            shell.kill()
            shell.wait()
