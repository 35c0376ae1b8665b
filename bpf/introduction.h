/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* The record of one exec: the sixteen fields of the event, and the context that makes them useful. */
#pragma once

#include "identity.h"
#include "loop.h"

#ifdef HAVE_PROGRAM_FILE

static __always_inline void write_string(struct introduction *record, u32 text, const char *string)
{
	u64 used = READ_ONCE(record->text_bytes);
	s64 size;

	if (used > TEXT_BYTES - TEXT_MAX)
		return;
	size = READ_STRING(&record->text[used], TEXT_MAX, string);
	if (size <= 0) {
		record->unreadable |= 1 << text;
		return;
	}
	if (size >= TEXT_MAX)
		record->truncated |= 1 << text;
	record->text_size[text] = size;
	record->text_bytes = used + size;
}

/* The mounts that the host's init sees; NULL: unknown. */
static __always_inline struct mnt_namespace *host_mounts(struct task_struct *task)
{
#ifdef HAVE_MOUNT_NAMESPACE
	struct pid *pid = READ(task, thread_pid);
	struct pid_namespace *pids = READ(pid, numbers[0].ns);
	struct task_struct *init = READ(pids, child_reaper);
	struct nsproxy *namespaces = READ(init, nsproxy);

	return READ(namespaces, mnt_ns);
#else
	return 0;
#endif
}

/*
 * A number for the root directory of a mount namespace: 0 for the host's. An overlay is known by its topmost lower
 * layer, which containers of the same image share.
 */
static __always_inline u64 scope_of(struct mount *top, struct mnt_namespace *host)
{
	struct dentry *root = READ(top, mnt.mnt_root);
	struct inode *inode = READ(root, d_inode);
	struct super_block *sb = READ(inode, i_sb);
	struct siphash hash;

	if (!host || !top || READ(top, mnt_ns) == host)
		return 0;
#ifdef HAVE_OVERLAY_BACKING
	if (READ(sb, s_magic) == OVERLAYFS_SUPER_MAGIC) {
		struct inode *lower = lower_inode(inode);

		if (lower) {
			inode = lower;
			sb = READ(inode, i_sb);
		}
	}
#endif
	siphash_start(&hash);
	siphash_word(&hash, READ(inode, i_ino));
	siphash_word(&hash, (u64)READ(sb, s_dev) << 32 | READ(inode, i_generation));
	return siphash_end(&hash) >> 1 | 1;
}

/* Writes the names of a path, leaf first, from where the walk was started; returns the last of at most `steps`. */
static __always_inline enum step write_names(struct introduction *record, u32 text, struct walk *walk, u64 steps)
{
	u32 start = record->text_bytes;
	enum step step = STEP_NAME;

	record->truncated |= 1 << text; /* until the end is reached */
	walk->names = 0;
	walk->top = 0;
	LOOP (steps) {
		step = walk_step(walk);
		if (step == STEP_NAME || (step == STEP_ORPHAN && !READ_ONCE(walk->names))) {
			u64 used = READ_ONCE(record->text_bytes);
			s64 size;

			if (used > TEXT_BYTES - NAME_BYTES || used - start > TEXT_MAX)
				break;
			if (step == STEP_NAME && !READ_ONCE(walk->names)++ && !NAME_MEMBER(walk, d_hash.pprev) &&
			    text < PATHS)
				record->path_flags[text] |= PATH_DELETED;
			size = READ_STRING(&record->text[used], NAME_BYTES, NAME_MEMBER(walk, d_name.name));
			if (size <= 0) {
				record->unreadable |= 1 << text;
				break;
			}
			record->text_bytes = used + size;
			walk->top = READ_ONCE(walk->mount);
			if (step == STEP_ORPHAN && text < PATHS)
				record->path_flags[text] |= PATH_ORPHAN;
		}
		if (step != STEP_NAME && step != STEP_MOUNT) {
			record->truncated &= ~(1 << text);
			break;
		}
	}
	record->text_size[text] = READ_ONCE(record->text_bytes) - start;
	return step;
}

static __always_inline void write_path(struct introduction *record, u32 text, const struct path *path,
				       struct walk *walk)
{
	enum step step;

	record->path_flags[text] = PATH_PRESENT;
	walk_start(walk, path);
	step = write_names(record, text, walk, WRITE_STEPS);
	if (step == STEP_ORPHAN || step == STEP_DETACHED)
		record->path_flags[text] |= PATH_DISCONNECTED;
	else if (step == STEP_ROOT)
		record->scopes[text] = (u64)READ_ONCE(walk->top); /* write_files() replaces it */
}

/* The path, below an overlay, of what was executed and copied up. */
static __always_inline void write_origin(struct introduction *record, struct scratch *scratch)
{
#ifdef HAVE_OVERLAY_BACKING
	struct dentry *dentry = READ_ONCE(scratch->subjects[0].path.dentry);

	if (!(record->key.flags & KEY_COPIED_UP))
		return;
	walk_start_in_filesystem(&scratch->walk, lower_dentry(READ(dentry, d_inode)));
	write_names(record, TEXT_ORIGIN_PATH, &scratch->walk, ORIGIN_STEPS);
#endif
}

static __always_inline void write_files(struct task_struct *task, struct linux_binprm *bprm, struct scratch *scratch)
{
	struct introduction *record = &scratch->introduction;
	struct mnt_namespace *host = host_mounts(task);
	struct path *paths = scratch->paths;

	__builtin_memset(paths, 0, sizeof(scratch->paths));
	paths[TEXT_PATHNAME] = user_path(READ(bprm, file));
	describe_file(READ(paths[TEXT_PATHNAME].dentry, d_inode), &record->program);
	if (is_script(bprm)) /* the key did not need it */
		scratch->interpreter = interpreter_file(task, scratch->walk.string);
	if (READ_ONCE(scratch->interpreter)) {
		paths[TEXT_INTERPRETER_PATHNAME] = user_path(scratch->interpreter);
		describe_file(READ(paths[TEXT_INTERPRETER_PATHNAME].dentry, d_inode), &record->interpreter);
	}
	paths[TEXT_CWD] = working_directory(task);
	if (READ_ONCE(scratch->script)) {
		paths[TEXT_SCRIPT_PATH] = user_path(scratch->script);
		describe_file(READ(paths[TEXT_SCRIPT_PATH].dentry, d_inode), &record->script);
	}
#ifdef HAVE_STDIN
	if (READ_ONCE(scratch->stdin)) {
		struct inode *inode = READ(scratch->stdin, f_inode);

		record->stdin_inode = READ(inode, i_ino);
		paths[TEXT_STDIN_PATH] = user_path(scratch->stdin);
	}
#endif
#pragma unroll
	for (int text = 0; text < PATHS; text++)
		if (READ_ONCE(paths[text].dentry))
			write_path(record, text, &paths[text], &scratch->walk);
	write_origin(record, scratch);
#pragma clang loop unroll(disable)
	for (int text = 0; text < PATHS; text++)
		record->scopes[text] = scope_of((struct mount *)READ_ONCE(record->scopes[text]), host);
	write_string(record, TEXT_CMDPATH, READ(bprm, filename));
	write_string(record, TEXT_INTERP, READ(bprm, interp));
}

#endif /* HAVE_PROGRAM_FILE */

#ifdef HAVE_ARGUMENTS

/* Copies up to `limit` bytes of the process's memory, which starts at `start`; `limit` is a constant. */
static __always_inline void write_memory(struct introduction *record, u32 text, u64 start, u64 bytes, u32 limit)
{
	u64 used = READ_ONCE(record->text_bytes), size = bytes;

	if (!limit || !bytes)
		return;
	if (size > limit) {
		size = limit;
		record->truncated |= 1 << text;
	}
	if (used > TEXT_BYTES - limit)
		return;
	if (READ_USER(&record->text[used], size, (void *)start)) {
		record->unreadable |= 1 << text;
		return;
	}
	record->text_size[text] = size;
	record->text_bytes = used + size;
}

static __always_inline void write_arguments(struct task_struct *task, struct linux_binprm *bprm,
					    struct introduction *record)
{
	struct mm_struct *mm = READ(task, mm);
	u64 argv = READ(mm, arg_start), env = READ(mm, env_start);

	record->argc = READ(bprm, argc);
	record->envc = READ(bprm, envc);
	record->argv_bytes = READ(mm, arg_end) - argv;
	record->env_bytes = READ(mm, env_end) - env;
	write_memory(record, TEXT_ARGV, argv, READ_ONCE(record->argv_bytes), ARGV_BYTES);
	write_memory(record, TEXT_ENV, env, READ_ONCE(record->env_bytes), ENV_BYTES);
}

#endif

static __always_inline void write_process(struct task_struct *task, struct introduction *record)
{
	u64 id = bpf_get_current_uid_gid();

	record->pid = bpf_get_current_pid_tgid() >> 32;
	record->uid = id;
	record->gid = id >> 32;
	record->cgroup = bpf_get_current_cgroup_id();
	record->time = bpf_ktime_get_boot_ns();
	record->start_time = start_time(task);
	bpf_get_current_comm(&record->comm, sizeof(record->comm));
#ifdef HAVE_PARENT
	struct task_struct *parent = READ(task, real_parent);

	record->ppid = READ(parent, tgid);
#endif
}

/* Writes the record except for its key, which is there already. Returns the record's size in bytes. */
static __always_inline u64 write_introduction(struct task_struct *task, struct linux_binprm *bprm,
					      struct scratch *scratch)
{
	struct introduction *record = &scratch->introduction;

	__builtin_memset(&record->text_bytes, 0,
			 __builtin_offsetof(struct introduction, text) -
				 __builtin_offsetof(struct introduction, text_bytes));
	write_files(task, bprm, scratch);
	write_arguments(task, bprm, record);
	write_process(task, record);
	return __builtin_offsetof(struct introduction, text) + READ_ONCE(record->text_bytes);
}
