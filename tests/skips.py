"""Reasons for which a test may be skipped. Any other reason fails the run, for example a tier that needs root."""

import re

KERNEL = (
    r"no block device can be opened here",
    r"no hook for scripts here: ",
    r"failed executions are not seen by",
    r"this kernel does not show what is below an overlay",
    r"this kernel has no binfmt_misc",
    r"this kernel takes no calls of 32-bit programs",
    r"this machine has no 32-bit entry that a 64-bit program can use",
)
MACHINE = (
    r"there is no apt-get",
    r"there is no /lib/systemd/systemd",
    r"no cgroup v?2 is mounted",
    r"no overlay: ",
    r"this filesystem does not tell generations",
    r"tests of other kernels need (?!root)",
    r"the image needs (?!root)",
)


def unexpected(output, reasons=(*KERNEL, *MACHINE)):
    """Return the lines of pytest's summary that report a skip for any other reason."""
    lines = re.findall(r"^SKIPPED.*$", output, re.MULTILINE)
    return [line for line in lines if not any(re.search(reason, line) for reason in reasons)]
