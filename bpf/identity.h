/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* From an exec to its key: the file that was executed, its interpreter, and the type of its standard input. */
#pragma once

#include "elf_interpreter.h"
#include "scratch.h"
#include "script.h"
#include "stdin.h"
#include "task.h"
#include "without.h"

#ifdef HAVE_PROGRAM_FILE

/* Its dentry is NULL if this kernel does not show it. */
static __always_inline struct path working_directory(struct task_struct *task)
{
	struct path path = {};
#ifdef HAVE_CWD
	struct fs_struct *fs = READ(task, fs);

	path = READ(fs, pwd);
#endif
	return path;
}

/*
 * A program is identified by its file and path, and by the file of its ELF interpreter; the interpreter's path is not
 * hashed. A script whose file is unknown is identified by its path as invoked and, if that is relative, by the working
 * directory.
 */
static __always_inline void identify_program(struct task_struct *task, struct linux_binprm *bprm, struct exec_key *key,
					     struct scratch *scratch)
{
	struct subject *subjects = scratch->subjects;
	struct file *program, *interpreter;

	__builtin_memset(subjects, 0, sizeof(scratch->subjects));
	scratch->interpreter = 0;
	if (is_script(bprm)) {
		key->flags |= KEY_SCRIPT;
		if (!READ_ONCE(scratch->script))
			scratch->script = released_script(task);
		program = READ_ONCE(scratch->script);
		interpreter = READ(bprm, file);
		subjects[1].string = READ(bprm, interp);
	} else {
		program = READ(bprm, file);
		interpreter = interpreter_file(task, scratch->walk.string);
		scratch->interpreter = interpreter;
	}
	if (program) {
		/* not f_inode, which may be the one below an overlay */
		subjects[0].path = user_path(program);
		subjects[0].inode = READ(subjects[0].path.dentry, d_inode);
	} else {
		char first = 0;

		key->flags |= KEY_AS_INVOKED;
		subjects[0].string = READ(bprm, filename);
		READ_BYTES(&first, 1, subjects[0].string);
		if (first != '/') /* relative */
			subjects[0].path = working_directory(task);
	}
	if (interpreter) {
		struct path path = user_path(interpreter);

		subjects[1].inode = READ(path.dentry, d_inode);
	}
	key->file.path_hash = hash_path(&subjects[0].path, READ_ONCE(subjects[0].string), &scratch->walk);
	subjects[0].flags = scratch->walk.flags;
	if (READ_ONCE(subjects[1].string))
		key->interpreter.path_hash = hash_string(subjects[1].string, &scratch->walk);
#pragma clang loop unroll(disable)
	for (int i = 0; i < 2; i++)
		if (READ_ONCE(subjects[i].inode))
			identify(subjects[i].inode, i ? &key->interpreter : &key->file, &subjects[i].flags);
	key->flags |= READ_ONCE(subjects[0].flags);
}

#endif /* HAVE_PROGRAM_FILE */

static __always_inline void identify_exec(struct task_struct *task, struct linux_binprm *bprm, struct exec_key *key,
					  struct scratch *scratch)
{
	__builtin_memset(key, 0, sizeof(*key));
	scratch->stdin = stdin_file(task);
	key->stdin_type = stdin_type(scratch->stdin);
	if (parent_is_kernel_thread(task))
		key->flags |= KEY_FROM_KERNEL;
	identify_program(task, bprm, key, scratch);
}

/* A 63-bit hash of a key. Ids with the highest bit set are the exporter's, for programs that ran before the probe. */
static __always_inline u64 program_id(const struct exec_key *key)
{
	const u64 *words = (const u64 *)key;
	struct siphash hash;

	siphash_start(&hash);
#pragma unroll
	for (int word = 0; word < sizeof(*key) / sizeof(*words); word++)
		siphash_word(&hash, words[word]);
	return siphash_end(&hash) & ~(1ULL << 63);
}
