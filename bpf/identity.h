/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * From an exec to its key: which file was executed, by which interpreter, with what on
 * standard input.
 *
 * Only exec.c may use maps: BCC rewrites the main file, and there alone.
 */
#pragma once

#ifdef HAVE_PROGRAM_FILE
/* What one of the two identities of a key is made from. What there is none of is NULL. */
struct subject {
	struct inode *inode;
	struct path path;
	const char *string; /* the name as written, of a script as invoked and of the interpreter of any */
	u32 flags;	    /* those of exec_key that the path earned */
};
#endif

/*
 * Room for what does not fit on the stack, and for what the verifier should not follow
 * value by value. What every exec changes lies together, from the end of the climb to
 * the key. Python learns the layout of an introduction from it.
 */
struct scratch {
#ifdef HAVE_PROGRAM_FILE
	struct path paths[PATHS]; /* in the order of enum text */
	struct climb climb;
	struct subject subjects[2];
	struct file *interpreter; /* the ELF interpreter */
#endif
	struct file *stdin;
	struct file *script;		  /* what the earlier hook saw of this exec; NULL: nothing */
	struct introduction introduction; /* its key is the key of this exec */
};

#ifdef HAVE_PROGRAM_FILE

static __always_inline bool is_script(struct linux_binprm *bprm)
{
	return READ(bprm, interp) != READ(bprm, filename);
}

static __always_inline bool is_relative(struct linux_binprm *bprm)
{
	char first = 0;

	READ_BYTES(&first, 1, READ(bprm, filename));
	return first != '/';
}

/* The working directory; where this kernel does not show it, its dentry is NULL. */
static __always_inline struct path directory_of(struct task_struct *task)
{
	struct path path = {};
#ifdef HAVE_CWD
	struct fs_struct *fs = READ(task, fs);

	path = READ(fs, pwd);
#endif
	return path;
}

static __always_inline void identify_subject(struct subject *subject, struct identity *id, struct climb *climb)
{
	if (FRESH(subject->path.dentry) || FRESH(subject->string)) {
		id->path_hash = hash_path(&subject->path, FRESH(subject->string), climb);
		subject->flags = climb->flags;
	}
	if (FRESH(subject->inode))
		identify(subject->inode, id, &subject->flags);
}

/*
 * A program is told by its file with its path, and by its ELF interpreter, whose file
 * tells enough: it is not climbed from. A script's own file has been replaced by its
 * interpreter's when the tracepoint fires: without the earlier hook what is left of it is
 * the path as invoked, and the directory that a relative one started from.
 */
static __always_inline void identify_program(struct task_struct *task, struct linux_binprm *bprm, struct exec_key *key,
					     struct scratch *space)
{
	struct subject *subjects = space->subjects;
	struct file *own, *interpreter;

	__builtin_memset(subjects, 0, sizeof(space->subjects));
	space->interpreter = 0;
	if (is_script(bprm)) {
		key->flags |= KEY_SCRIPT;
		own = FRESH(space->script);
		interpreter = READ(bprm, file);
		subjects[1].string = READ(bprm, interp);
	} else {
		own = READ(bprm, file);
		interpreter = interpreter_file(task, space->climb.string);
		space->interpreter = interpreter;
	}
	if (own) {
		/* f_inode may be the one below an overlay */
		subjects[0].path = user_path(own);
		subjects[0].inode = READ(subjects[0].path.dentry, d_inode);
	} else {
		key->flags |= KEY_AS_INVOKED;
		subjects[0].string = READ(bprm, filename);
		if (is_relative(bprm))
			subjects[0].path = directory_of(task);
	}
	if (interpreter) {
		struct path path = user_path(interpreter);

		subjects[1].inode = READ(path.dentry, d_inode);
	}
#pragma clang loop unroll(disable)
	for (int i = 0; i < 2; i++)
		if (FRESH(subjects[i].inode) || FRESH(subjects[i].string))
			identify_subject(&subjects[i], i ? &key->interpreter : &key->file, &space->climb);
	key->flags |= FRESH(subjects[0].flags);
}

#endif /* HAVE_PROGRAM_FILE */

static __always_inline void identify_exec(struct task_struct *task, struct linux_binprm *bprm, struct exec_key *key,
					  struct scratch *space)
{
	__builtin_memset(key, 0, sizeof(*key));
	space->stdin = stdin_file(task);
	key->stdin_type = stdin_type(space->stdin);
	if (parent_is_kernel_thread(task))
		key->flags |= KEY_FROM_KERNEL;
#ifdef HAVE_PROGRAM_FILE
	identify_program(task, bprm, key, space);
#else
	key->flags |= KEY_UNREADABLE;
#endif
}
