/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* What a key means, written down once: the strings of an introduction. */
#pragma once

#ifdef HAVE_PROGRAM_FILE

static __always_inline void write_string(struct introduction *record, u32 text, const char *string)
{
	u64 used = FRESH(record->text_bytes);
	s64 size;

	if (used > TEXT_BYTES - TEXT_MAX)
		return;
	size = READ_STRING(&record->text[used], TEXT_MAX, string);
	if (size <= 0)
		return;
	if (size >= TEXT_MAX)
		record->truncated |= 1 << text;
	record->text_size[text] = size;
	record->text_bytes = used + size;
}

static __always_inline void write_path(struct introduction *record, u32 text, const struct path *path,
				       struct climb *climb)
{
	u32 start = record->text_bytes;

	record->truncated |= 1 << text; /* until it is seen that it is not */
	climb_start(climb, path);
#pragma clang loop unroll(disable)
	for (u64 i = 0; i < WRITE_STEPS; i++) {
		enum step step = climb_step(climb);

		if (step == STEP_NAME) {
			u64 used = FRESH(record->text_bytes);
			s64 size;

			if (used > TEXT_BYTES - NAME_BYTES || used - start > TEXT_MAX)
				break;
			size = READ_STRING(&record->text[used], NAME_BYTES, climb->at.d_name.name);
			if (size <= 0)
				break;
			record->text_bytes = used + size;
		} else if (step != STEP_MOUNT) {
			record->truncated &= ~(1 << text);
			break;
		}
	}
	record->text_size[text] = FRESH(record->text_bytes) - start;
}

static __always_inline void write_texts(struct task_struct *task, struct linux_binprm *bprm,
					struct introduction *record, struct scratch *space)
{
	struct file *interpreter = interpreter_file(task, space->climb.string);
	struct path *paths = space->paths;

	__builtin_memset(paths, 0, sizeof(space->paths));
	paths[TEXT_PATHNAME] = user_path(READ(bprm, file));
	if (interpreter)
		paths[TEXT_INTERPRETER_PATHNAME] = user_path(interpreter);
	paths[TEXT_CWD] = directory_of(task, bprm);
#pragma unroll
	for (int text = 0; text < 3; text++)
		if (FRESH(paths[text].dentry))
			write_path(record, text, &paths[text], &space->climb);
	write_string(record, TEXT_CMDPATH, READ(bprm, filename));
	if (is_script(bprm))
		write_string(record, TEXT_INTERP, READ(bprm, interp));
}

#endif /* HAVE_PROGRAM_FILE */

/* Completes the record in `space`, whose key is there already; returns its size in bytes. */
static __always_inline u64 write_introduction(struct task_struct *task, struct linux_binprm *bprm,
					      struct scratch *space)
{
	struct introduction *record = &space->introduction;

	record->text_bytes = 0;
	record->truncated = 0;
	__builtin_memset(record->text_size, 0, sizeof(record->text_size));
#ifdef HAVE_PROGRAM_FILE
	write_texts(task, bprm, record, space);
#endif
	return __builtin_offsetof(struct introduction, text) + FRESH(record->text_bytes);
}
