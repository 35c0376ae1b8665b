/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Registers: of functions that kprobes and kretprobes are attached to, and of system calls. */
#pragma once

#include "read.h"

#ifdef ARGUMENT_DI /* x86_64 */
#define FIRST_ARGUMENT(registers) READ(registers, di)
#define RETURN_VALUE(registers) READ(registers, ax)
#else /* arm64 */
#define FIRST_ARGUMENT(registers) READ(registers, regs[0])
#define RETURN_VALUE(registers) READ(registers, regs[0])
#endif

#ifdef HAVE_FAILED_CALLS

/* True if the system call that returns is execve(2) or execveat(2), in the numbers of its ABI. */
static __always_inline bool is_exec_call(struct pt_regs *registers)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
#ifdef CALLS_X86
	u64 number = READ(registers, orig_ax);

	if (READ(task, thread_info.status) & 2) /* TS_COMPAT: as in arch/x86/entry/syscalls/syscall_32.tbl */
		return number == 11 || number == 358;
	return number == 59 || number == 322 || number == 0x40000000 + 520 || number == 0x40000000 + 545; /* _64.tbl */
#else
	u32 number = READ(registers, syscallno);

	if (READ(task, thread_info.flags) & 1 << 22) /* TIF_32BIT: as in arch/arm64/tools/syscall_32.tbl */
		return number == 11 || number == 387;
	return number == 221 || number == 281; /* include/uapi/asm-generic/unistd.h */
#endif
}

#endif
