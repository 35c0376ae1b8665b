/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * A script's own file. When the tracepoint fires, the kernel has put the interpreter's
 * file in its place. security_bprm_creds_for_exec() sees it before that, once for each
 * exec, since 5.8: b8bff599261c ("exec: Factor security_bprm_creds_for_exec out of
 * security_bprm_set_creds").
 *
 * A hook there remembers which file it was, and the tracepoint reads it. By then exec
 * has dropped its reference; but the last reference to a file that a task drops goes
 * only when the task returns to user space (fput() leaves it to task work), so the file
 * is still whole. Before 5.19 that was not so of a helper that the kernel itself starts
 * (343f4c49f243 "kthread: Don't allocate kthread_struct for init and umh"): if its file
 * is no longer what it was, the script is named as it was invoked.
 */
#pragma once

/* What the hook saw, until the tracepoint asks; of an exec that failed, until the task's next one. */
struct opened {
	u64 bprm;
	u64 file;
	u64 inode;
	u64 dentry;
};

#define OPENED_ENTRIES 4096 /* execs between hook and tracepoint, and tasks whose last exec failed */

#if defined(HAVE_SCRIPT_HOOK) && defined(HAVE_PROGRAM_FILE)

static __always_inline struct opened opened_by(struct linux_binprm *bprm)
{
	struct file *file = READ(bprm, file);
	struct opened opened = {
		.bprm = (u64)bprm,
		.file = (u64)file,
		.inode = (u64)READ(file, f_inode),
		.dentry = (u64)READ(file, f_path.dentry),
	};

	return opened;
}

/* The script's file, if `opened` is of this exec and the file is what it was; else NULL. */
static __always_inline struct file *script_file(const struct opened *opened, struct linux_binprm *bprm)
{
	struct file *file = (struct file *)opened->file;

	if (opened->bprm != (u64)bprm || opened->inode != (u64)READ(file, f_inode) ||
	    opened->dentry != (u64)READ(file, f_path.dentry))
		return 0;
	return file;
}

#endif
