"""without_bpf_command.py NUMBER COMMAND...: run a command in which that command of bpf(2) fails with EINVAL.

A seccomp filter returns the error that a kernel returns if it does not know the command.
"""

import ctypes
import errno
import os
import struct
import sys

SYS_BPF = {"x86_64": 321, "aarch64": 280}
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06  # classic BPF: ld [k], jeq k, ret k
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
NUMBER_OFFSET, FIRST_ARGUMENT_OFFSET = 0, 16  # of struct seccomp_data
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2

program = [
    (LOAD, 0, 0, NUMBER_OFFSET),
    (EQUAL, 0, 3, SYS_BPF[os.uname().machine]),
    (LOAD, 0, 0, FIRST_ARGUMENT_OFFSET),
    (EQUAL, 0, 1, int(sys.argv[1])),
    (RETURN, 0, 0, ERRNO | errno.EINVAL),
    (RETURN, 0, 0, ALLOW),
]
code = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *instruction) for instruction in program))
filter_program = struct.pack("<HxxxxxxQ", len(program), ctypes.addressof(code))
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, filter_program, 0, 0):
    sys.exit(os.strerror(ctypes.get_errno()))
os.execv(sys.argv[2], sys.argv[2:])
