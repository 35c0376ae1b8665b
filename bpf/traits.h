/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Key bits of suspicious execs, for what user space could not find out later. */
#pragma once

#include "scratch.h"
#include "stdin.h"
#include "without.h"

#ifdef HAVE_ARGUMENTS

#define VARIABLES 512 /* of an environment; the rest is not searched */

static __always_inline bool is_preload(const u64 *words)
{
	/* "LD_PRELOAD=" or "LD_AUDIT=" and at least one character, in the machine's byte order */
	return (words[0] == 0x4f4c4552505f444c && (words[1] & 0xffffff) == 0x3d4441 && words[1] & 0xff000000) ||
	       (words[0] == 0x54494455415f444c && (words[1] & 0xff) == 0x3d && words[1] & 0xff00);
}

/* True if the environment makes the dynamic loader load more than the program needs. `buffer` holds TEXT_MAX bytes. */
static __always_inline bool preloads(struct task_struct *task, u64 *buffer)
{
	struct mm_struct *mm = READ(task, mm);
	u64 at = READ(mm, env_start), end = READ(mm, env_end);

#pragma clang loop unroll(disable)
	for (u64 variable = 0; variable < VARIABLES && at < end; variable++) {
		s64 size = READ_USER_STRING(buffer, TEXT_MAX, (void *)at);

		if (size <= 0)
			return false;
		if (is_preload(buffer))
			return true;
		at += size;
	}
	return false;
}

#endif

#ifdef HAVE_PROGRAM_FILE

static __always_inline bool in_world_writable_directory(struct dentry *dentry)
{
	struct dentry *directory = READ(dentry, d_parent);
	struct inode *inode;

	if (directory == dentry) /* in no directory, such as a memfd */
		return false;
	inode = READ(directory, d_inode);
	return READ(inode, i_mode) & S_IWOTH;
}

static __always_inline bool is_setuid(struct file *file)
{
	struct dentry *dentry = READ(file, f_path.dentry);
	struct inode *inode = READ(dentry, d_inode);
	u32 mode = READ(inode, i_mode);

	return mode & S_ISUID || (mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP);
}

/* `now` is in ns since the epoch. Reads what identify_exec() has left in the scratch memory. */
static __always_inline u32 trait_flags(struct task_struct *task, struct linux_binprm *bprm, struct scratch *scratch,
				       s64 now)
{
	struct dentry *dentry = READ_ONCE(scratch->subjects[0].path.dentry);
	s64 ctime = READ_ONCE(scratch->introduction.key.file.ctime);
	u32 flags = 0;

	if (READ_ONCE(scratch->subjects[0].inode) && in_world_writable_directory(dentry)) {
		flags |= KEY_WORLD_WRITABLE;
		if (!(u32)bpf_get_current_uid_gid())
			flags |= KEY_WORLD_WRITABLE_AS_ROOT;
	}
	if (is_setuid(READ(bprm, file)))
		flags |= KEY_SETUID;
	if (ctime && !is_ahead(ctime, now) && now - ctime < FRESH_SECONDS * NS_PER_SECOND)
		flags |= KEY_FRESH;
	if (scratch->introduction.key.stdin_type == STDIN_SOCKET && is_connection(READ_ONCE(scratch->stdin)))
		flags |= KEY_CONNECTED_STDIN;
	if (COLLECT_PRELOAD && preloads(task, scratch->walk.string))
		flags |= KEY_PRELOAD;
	return flags;
}

#endif
