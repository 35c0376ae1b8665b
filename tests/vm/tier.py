"""The kernel tier in a guest: smaller numbers, and without tests of user space alone."""

import shlex

from tests.vm.user_space import python_of

# pytest-timeout is loaded by name because a guest loads no plugins by itself: hypothesis would take eight seconds.
OPTIONS = ("-p", "pytest_timeout", "-p", "no:cacheprovider", "--color=no", "-q", "--durations=10")
# Modules whose tests examine user space, working on counts of the probe.
USER_SPACE = "tests/kernel/test_novel_*"


def pytest_command(arch, *arguments):
    """Return the command line of pytest in a guest."""
    return shlex.join([python_of(arch), "-m", "pytest", *OPTIONS, *arguments])


def tier_command(arch, *, whole):
    """Return the command that runs the kernel tier, or the tests that share a probe, and then prints the facts."""
    part = () if whole else ("--sharing",)
    options = ("-p", "tests.vm.facts", "-m", "not native", f"--ignore-glob={USER_SPACE}")
    return pytest_command(arch, *options, *part, "tests/kernel")
