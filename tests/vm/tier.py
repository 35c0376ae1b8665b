"""The kernel tier as a guest runs it: smaller numbers, and nothing that is about user space alone."""

import shlex

from tests.vm.user_space import python_of

# pytest-timeout is named since a guest loads no plugin unasked: hypothesis alone takes it eight seconds.
OPTIONS = ("-p", "pytest_timeout", "-p", "no:cacheprovider", "--color=no", "-q", "--durations=10")
# What is found in what the probe has counted, is found by user space.
USER_SPACE = "tests/kernel/test_novel_*"


def pytest_command(arch, *arguments):
    """The command line of pytest in a guest."""
    return shlex.join([python_of(arch), "-m", "pytest", *OPTIONS, *arguments])


def tier_command(arch, *, whole):
    """The kernel tier, or what of it shares a probe; what it ends with says the facts of the support table."""
    part = () if whole else ("--sharing",)
    options = ("-p", "tests.vm.facts", "-m", "not native", f"--ignore-glob={USER_SPACE}")
    return pytest_command(arch, *options, *part, "tests/kernel")
