"""Limits of this process."""

from __future__ import annotations

import resource


def raise_open_files(wanted: int) -> int:
    """Raise the soft limit of open files to `wanted`, as far as the hard limit allows; return `wanted` or less."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return soft
