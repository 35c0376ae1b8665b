"""Chooses the earlier hook, by which scripts are known by their own file: the first that attaches and fires.

A hook can attach and never fire: a kprobe that is disarmed, a function that was inlined where it matters, tracing
that is switched off. So each is tried with an exec that comes as far as the hook and no farther.
"""

from __future__ import annotations

FUNCTION = "security_bprm_creds_for_exec"
LSM_FUNCTION = "bpf_lsm_bprm_creds_for_exec"
KINDS = ("fentry", "kprobe", "lsm")  # cheapest first; LSM needs "bpf" on the kernel's list of security modules
