/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* The values of the histograms of executions, and the format that they are counted by. */
#pragma once

#include "histogram.h"
#include "scratch.h"

#define AGE_UNKNOWN ((u64) - 1)

/* Sizes of one exec. */
struct sizes {
	u64 arguments; /* their number */
	u64 arguments_bytes;
	u64 environment_bytes;
	u64 age_ms; /* since the file was last changed; AGE_UNKNOWN if that is ahead, or for a script known as invoked
		     */
};

#if defined(HAVE_PROGRAM_FILE) && defined(HAVE_ARGUMENTS)

/* `now` is in ns since the epoch. */
static __always_inline struct sizes sizes_of(struct task_struct *task, struct linux_binprm *bprm,
					     struct scratch *scratch, s64 now)
{
	struct mm_struct *mm = READ(task, mm);
	s64 ctime = READ_ONCE(scratch->introduction.key.file.ctime);
	struct sizes sizes = {
		.arguments = (u32)READ(bprm, argc),
		.arguments_bytes = READ(mm, arg_end) - READ(mm, arg_start),
		.environment_bytes = READ(mm, env_end) - READ(mm, env_start),
		.age_ms = AGE_UNKNOWN,
	};

	if (ctime && !is_ahead(ctime, now))
		sizes.age_ms = now > ctime ? (u64)(now - ctime) / NS_PER_MS : 0;
	return sizes;
}

/* The format of a program that is not a script. */
static __always_inline enum format elf_format(struct scratch *scratch)
{
	return READ_ONCE(scratch->interpreter) ? FORMAT_ELF_DYNAMIC : FORMAT_ELF_STATIC;
}

#endif
