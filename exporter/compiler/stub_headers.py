"""The few headers that BCC includes from a kernel's build tree, so that none has to be installed.

BCC searches the directory in BCC_KERNEL_SOURCE. It brings its own copy of uapi/linux/bpf.h.
"""

from __future__ import annotations

import re

_KCONFIG = """\
#pragma once
#define CONFIG_BPF_SYSCALL 1
"""

_TYPES = """\
#pragma once
typedef unsigned char __u8;
typedef signed char __s8;
typedef unsigned short __u16;
typedef short __s16;
typedef unsigned int __u32;
typedef int __s32;
typedef unsigned long long __u64;
typedef long long __s64;
typedef __u8 u8;
typedef __s8 s8;
typedef __u16 u16;
typedef __s16 s16;
typedef __u32 u32;
typedef __s32 s32;
typedef __u64 u64;
typedef __s64 s64;
typedef __u16 __le16, __be16, __sum16;
typedef __u32 __le32, __be32, __wsum;
typedef __u64 __le64, __be64;
typedef __u64 __aligned_u64 __attribute__((aligned(8)));
typedef unsigned long size_t, uintptr_t;
typedef _Bool bool;
#define true 1
#define false 0
#define NULL ((void *)0)
#define __always_inline inline __attribute__((always_inline))
#define PAGE_SIZE {page_size}
"""

_VERSION = """\
#pragma once
#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + ((c) > 255 ? 255 : (c)))
#define LINUX_VERSION_CODE {code}
"""

EMPTY = (
    "uapi/linux/bpf.h",
    "uapi/linux/if_packet.h",
    "linux/bpf_common.h",
    "linux/log2.h",
    "asm/page.h",
)


def stub_headers(release: str, page_size: int) -> dict[str, str]:
    """Return texts by path, for a kernel release (for example '6.1.0-18-amd64') and its page size in bytes."""
    types = _TYPES.replace("{page_size}", str(page_size))
    return {
        "include/linux/kconfig.h": _KCONFIG,
        "include/linux/types.h": types,
        "include/uapi/linux/types.h": "#pragma once\n#include <linux/types.h>\n",
        "include/linux/version.h": _VERSION.format(code=_version_code(release)),
        **{f"include/{name}": "" for name in EMPTY},
    }


def _version_code(release: str) -> int:
    """Return LINUX_VERSION_CODE as in linux/version.h; parts missing from the release are 0."""
    numbers = [int(part) for part in re.findall(r"\d+", release.split("-")[0])]
    major, minor, patch = (*numbers, 0, 0, 0)[:3]
    return (major << 16) + (minor << 8) + min(patch, 255)
