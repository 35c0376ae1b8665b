/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* What the histograms of executions are made from. */
#pragma once

/* Sizes of one exec. */
struct sizes {
	u64 arguments; /* how many */
	u64 arguments_bytes;
	u64 environment_bytes;
	u64 age_ms; /* how long before the file was changed; AGE_UNKNOWN of a script as invoked */
};

#define AGE_UNKNOWN ((u64) - 1)
#define NS_PER_US 1000
#define NS_PER_MS 1000000

#define ABOVE(bound)                                                                                                   \
	if (_value <= (bound))                                                                                         \
		break;                                                                                                 \
	_bucket++;
/* The number of bounds that the value is above: the bucket that it belongs in. */
#define BUCKET(BOUNDS, value)                                                                                          \
	({                                                                                                             \
		u64 _value = (value), _bucket = 0;                                                                     \
		do {                                                                                                   \
			BOUNDS(ABOVE)                                                                                  \
		} while (0);                                                                                           \
		_bucket;                                                                                               \
	})

#if defined(HAVE_PROGRAM_FILE) && defined(HAVE_ARGUMENTS)

/* `now` is in ns since the epoch. */
static __always_inline struct sizes sizes_of(struct task_struct *task, struct linux_binprm *bprm, struct scratch *space,
					     s64 now)
{
	struct mm_struct *mm = READ(task, mm);
	s64 ctime = FRESH(space->introduction.key.file.ctime);
	struct sizes sizes = {
		.arguments = (u32)READ(bprm, argc),
		.arguments_bytes = READ(mm, arg_end) - READ(mm, arg_start),
		.environment_bytes = READ(mm, env_end) - READ(mm, env_start),
		.age_ms = AGE_UNKNOWN,
	};

	if (ctime)
		sizes.age_ms = now > ctime ? (u64)(now - ctime) / NS_PER_MS : 0; /* the clock may have been set back */
	return sizes;
}

/* Puts the interpreter of a script where a lookup can take it. */
static __always_inline struct misc_interpreter *interpreter_name(struct linux_binprm *bprm, struct scratch *space)
{
	struct misc_interpreter *interpreter = (struct misc_interpreter *)space->climb.string;

	__builtin_memset(interpreter, 0, sizeof(*interpreter));
	READ_STRING(interpreter, sizeof(*interpreter), READ(bprm, interp));
	return interpreter;
}

/* The format of what is no script. */
static __always_inline enum format elf_format(struct scratch *space)
{
	return FRESH(space->interpreter) ? FORMAT_ELF_DYNAMIC : FORMAT_ELF_STATIC;
}

#endif
