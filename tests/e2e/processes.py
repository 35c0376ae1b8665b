"""Privileges of a process, from /proc."""

from pathlib import Path

CAP_PERFMON, CAP_BPF = 1 << 38, 1 << 39
CAP_READING = 1 << 2 | 1 << 19  # CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE


def threads(pid):
    """Return the status of each thread of a process, as a dict."""
    found = [task / "status" for task in Path(f"/proc/{pid}/task").iterdir()]
    return [dict(line.split(":", 1) for line in status.read_text().splitlines()) for status in found]


def capabilities(pid):
    """Return the union of each capability set over all threads, by its name in /proc."""
    sets = {}
    for thread in threads(pid):
        for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            sets[name] = sets.get(name, 0) | int(thread[name], 16)
    return sets


def may_do_nothing(pid):
    """Return True if no thread has a capability or can gain one by an exec."""
    sets = capabilities(pid)
    assert {name: held for name, held in sets.items() if name != "CapBnd"} == dict.fromkeys(
        ("CapInh", "CapPrm", "CapEff", "CapAmb"), 0
    )
    assert {thread["NoNewPrivs"].strip() for thread in threads(pid)} == {"1"}
    return True
