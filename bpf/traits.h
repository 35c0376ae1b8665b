/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* What makes an exec worth a look, as flags of its key: what user space could not find out any more. */
#pragma once

#ifdef HAVE_PROGRAM_FILE

static __always_inline bool in_world_writable_directory(struct dentry *dentry)
{
	struct dentry *directory = READ(dentry, d_parent);
	struct inode *inode;

	if (directory == dentry) /* such as a memfd: it is in none */
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

#if defined(COLLECT_PRELOAD) && defined(HAVE_ARGUMENTS)

#define VARIABLES 512 /* of an environment; what comes after them is not seen */

static __always_inline bool is_preload(const u64 *words)
{
	/* in the order of the machine's bytes: "LD_PRELOAD=" or "LD_AUDIT=", and something behind it */
	return (words[0] == 0x4f4c4552505f444c && (words[1] & 0xffffff) == 0x3d4441 && words[1] & 0xff000000) ||
	       (words[0] == 0x54494455415f444c && (words[1] & 0xff) == 0x3d && words[1] & 0xff00);
}

/* Whether the environment asks the dynamic loader for more than the program does. `room` is for TEXT_MAX bytes. */
static __always_inline bool preloads(struct task_struct *task, u64 *room)
{
	struct mm_struct *mm = READ(task, mm);
	u64 at = READ(mm, env_start), end = READ(mm, env_end);

#pragma clang loop unroll(disable)
	for (u64 variable = 0; variable < VARIABLES && at < end; variable++) {
		s64 size = bpf_probe_read_user_str(room, TEXT_MAX, (void *)at);

		if (size <= 0)
			return false;
		if (is_preload(room))
			return true;
		at += size;
	}
	return false;
}

#else

static __always_inline bool preloads(struct task_struct *task, u64 *room)
{
	return false;
}

#endif

/* `now` and the ctime of the key's file are in ns since the epoch. Asks what identify_exec() has left in `space`. */
static __always_inline u32 trait_flags(struct task_struct *task, struct linux_binprm *bprm, struct scratch *space,
				       s64 now)
{
	struct dentry *dentry = FRESH(space->subjects[0].path.dentry);
	s64 ctime = FRESH(space->introduction.key.file.ctime);
	u32 flags = 0;

	if (FRESH(space->subjects[0].inode) && in_world_writable_directory(dentry)) {
		flags |= KEY_WORLD_WRITABLE;
		if (!(u32)bpf_get_current_uid_gid())
			flags |= KEY_WORLD_WRITABLE_AS_ROOT;
	}
	if (is_setuid(READ(bprm, file)))
		flags |= KEY_SETUID;
	if (ctime && now - ctime < FRESH_SECONDS * NS_PER_SECOND)
		flags |= KEY_FRESH;
	if (preloads(task, space->climb.string))
		flags |= KEY_PRELOAD;
	return flags;
}

#else

static __always_inline u32 trait_flags(struct task_struct *task, struct linux_binprm *bprm, struct scratch *space,
				       s64 now)
{
	return 0;
}

#endif
