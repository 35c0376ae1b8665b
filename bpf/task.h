/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Processes and their parents: who executed a program, and how it ended. */
#pragma once

#include "exec.h"
#include "read.h"

#define PF_KTHREAD 0x00200000 /* include/linux/sched.h */
#define SIGNAL_GROUP_EXIT 4   /* include/linux/sched/signal.h */
/* SIG_KERNEL_COREDUMP_MASK of include/linux/signal.h: QUIT, ILL, TRAP, ABRT, BUS, FPE, SEGV, XCPU, XFSZ and SYS */
#define CRASH_SIGNALS 0x830009f8U

static __always_inline bool parent_is_kernel_thread(struct task_struct *task)
{
#ifdef HAVE_PARENT
	struct task_struct *parent = READ(task, real_parent);

	return READ(parent, flags) & PF_KTHREAD;
#else
	return false;
#endif
}

/* In ns since boot; 0: unknown. */
static __always_inline u64 start_time(struct task_struct *task)
{
#ifdef HAVE_START_TIME
	return READ(task, start_boottime);
#else
	return 0;
#endif
}

#ifdef HAVE_PROCESSES

/* True for the last thread of a process to exit; for several threads if they exit at the same time. */
static __always_inline bool is_last_thread(struct task_struct *task)
{
	struct signal_struct *signal = READ(task, signal);
	u32 live = 1;

	READ_BYTES(&live, sizeof(live), &signal->live);
	return live == 0;
}

/* How the process of a task ended, as wait(2) will report it. */
static __always_inline enum outcome outcome_of(struct task_struct *task)
{
	struct signal_struct *signal = READ(task, signal);
	struct task_struct *leader = READ(task, group_leader);
	u32 code = READ(leader, exit_code), number;

	if (READ(signal, flags) & SIGNAL_GROUP_EXIT)
		code = READ(signal, group_exit_code);
	number = code & 0x7f;
	if (number)
		return number < 32 && CRASH_SIGNALS >> number & 1 ? OUTCOME_CRASH : OUTCOME_SIGNAL;
	return code ? OUTCOME_FAILURE : OUTCOME_SUCCESS;
}

#endif
