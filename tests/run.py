"""Run all tiers, those at once that do not disturb each other: python -m tests.run [ARGUMENTS OF PYTEST]...

Compilers and the build of the image run first, because they execute very many programs. The tiers with a probe on this
machine follow, one after the other, beside the guests and the unit tests. `make` has installed the rest. The unit tests
come last, when the guests no longer need a core, and with low priority.
"""

import re
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from tests.skips import unexpected
from tests.vm.kernels import MATRIX, NATIVE

PYTEST = [sys.executable, "-m", "pytest", "--durations=15"]
NO_TESTS = 5  # the exit status of pytest
COUNTED = re.compile(r"(\d+) (passed|failed|skipped|error)")
FAILURE = ("FAILED ", "ERROR ", "E   ")  # how a line of pytest begins that names a test or tells what was wrong
FAILURE_LINES = 40


@dataclass
class Tier:
    """A command; once it has run, its seconds, exit status, failures, and how many tests had which result."""

    name: str
    command: list[str]
    seconds: float = 0.0
    status: int = 0
    counted: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def run(self):
        """Run the command; each line that it prints begins with the tier's name."""
        self.say("begins")
        started = time.monotonic()
        process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        last, skipped = "", []
        for line in process.stdout:
            self.say(line.rstrip("\n"))
            last = line if line.strip() else last
            skipped += unexpected(line)
            self.failures += [line.rstrip("\n")] if line.startswith(FAILURE) else []
        status, self.seconds = process.wait(), time.monotonic() - started
        if status == NO_TESTS and sys.argv[1:]:  # such as -k
            status = 0
        self.status = status or int(bool(skipped))
        self.failures += [f"not a reason to skip (tests/skips.py): {line}" for line in skipped]
        self.counted.update({word: int(number) for number, word in COUNTED.findall(last)})
        self.say(f"ends after {self.seconds:.0f} s with status {self.status}")

    def say(self, line):
        """Print a line, which begins with the tier's name."""
        print(f"{self.name:6} | {line}", flush=True)


def tier(name, *arguments, prefix=()):
    """Return the tier of the tests in the folder of that name."""
    return Tier(name, [*prefix, *PYTEST, f"tests/{name}", *arguments, *sys.argv[1:]])


def module(name, *arguments):
    """Return a tier that prepares later ones."""
    return Tier("make", [sys.executable, "-m", name, *arguments])


def stages():
    """Yield the stages in order; lanes of a stage run side by side, tiers of a lane one after the other."""
    yield (
        [
            module("tests.tools", "helm", "crds", "seccomp-profile"),
            module("tests.vm.fetch", *(kernel.name for kernel in MATRIX if kernel.arch == NATIVE)),
        ],
        [module("tests.image.build")],
    )
    yield (
        [tier("kernel"), tier("e2e"), tier("image"), tier("chart")],
        [tier("vm"), tier("unit", "--numprocesses=auto", prefix=["nice"])],
    )


def run(lane):
    """Run the tiers of a lane, also those after one that failed."""
    for each in lane:
        each.run()
    return lane


def main():
    """Run everything; return the exit status."""
    started, done = time.monotonic(), []
    for lanes in stages():
        with ThreadPoolExecutor(len(lanes)) as pool:
            done += [one for lane in pool.map(run, lanes) for one in lane]
    print(f"\n{'tier':8}{'seconds':>8}  result")
    for one in done:
        result = ", ".join(f"{number} {word}" for word, number in one.counted.items())
        print(f"{one.name:8}{one.seconds:8.0f}  {result or ('failed' if one.status else 'done')}")
    total = sum((one.counted for one in done), Counter())
    print(f"{'all':8}{time.monotonic() - started:8.0f}\n")
    for one in done:
        for line in one.failures[-FAILURE_LINES:]:
            one.say(line)
    print(f"{total['passed']} passed, {total['failed'] + total['error']} failed, {total['skipped']} skipped")
    return int(any(one.status for one in done if one.name != "make"))  # tests show what could not be made


if __name__ == "__main__":
    sys.exit(main())
