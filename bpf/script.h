/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * A script's own file. At sched_process_exec the kernel has already replaced it by the interpreter's file.
 * security_bprm_creds_for_exec() still sees it, once per exec, since 5.8: b8bff599261c ("exec: Factor
 * security_bprm_creds_for_exec out of security_bprm_set_creds"). A hook there remembers the file for the tracepoint.
 *
 * By then exec has dropped its reference; but the last reference that a task drops is released only when the task
 * returns to user space (fput() leaves that to task work), so the file is still intact. Before 5.19 this did not hold
 * for helpers started by the kernel (343f4c49f243 "kthread: Don't allocate kthread_struct for init and umh"): if the
 * file has changed, the script is known as invoked only.
 *
 * Without a hook the file is found among the task's pending work: exec releases it before anything else.
 */
#pragma once

#include "read.h"

/* What the hook saw: until the tracepoint of the same exec or, if that failed, until the task's next exec. */
struct opened {
	u64 bprm;
	u64 file;
	u64 inode;
	u64 dentry;
};

#define OPENED_ENTRIES 4096 /* execs between hook and tracepoint, and tasks whose last exec failed */

#ifdef HAVE_PROGRAM_FILE

static __always_inline bool is_script(struct linux_binprm *bprm)
{
	return READ(bprm, interp) != READ(bprm, filename);
}

#ifdef HAVE_SCRIPT_HOOK

/* True if nothing will be executed: the caller only asks whether it could be (AT_EXECVE_CHECK). */
static __always_inline bool is_check(struct linux_binprm *bprm)
{
#ifdef EXECVE_CHECK
	return READ(bprm, is_check) & linux_binprm_is_check_MASK;
#else
	return false;
#endif
}

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

/* The script's file if `opened` belongs to this exec and the file has not changed; else NULL. */
static __always_inline struct file *script_file(const struct opened *opened, struct linux_binprm *bprm)
{
	struct file *file = (struct file *)opened->file;

	if (opened->bprm != (u64)bprm || opened->inode != (u64)READ(file, f_inode) ||
	    opened->dentry != (u64)READ(file, f_path.dentry))
		return 0;
	return file;
}

#endif

#ifdef HAVE_RELEASED_SCRIPT

#if defined(RELEASED_TASK_WORK)
#define RELEASED f_task_work
#elif defined(RELEASED_RCU_HEAD)
#define RELEASED f_rcuhead
#else
#define RELEASED f_u
#endif
#define OPENED_FOR_EXEC 0x20 /* __FMODE_EXEC of include/linux/fs.h */
#define RELEASED_FILES 512   /* of one exec: those of the old address space are among them */

/* Pending work need not be that of a file: then the members contradict each other. */
static __always_inline bool is_opened_for_exec(struct file *file)
{
	struct inode *inode;

	if (!(READ(file, f_flags) & OPENED_FOR_EXEC))
		return false;
	inode = READ(file, f_inode);
	return inode && READ(READ(file, f_path.dentry), d_inode) == inode;
}

/* The first file opened for execution that this exec has released; NULL: none, or too many files were released. */
static __always_inline struct file *released_script(struct task_struct *task)
{
	u64 work = (u64)READ(task, task_works); /* last in, first out */
	struct file *script = 0;

#pragma clang loop unroll(disable)
	for (u64 i = 0; i < RELEASED_FILES && work; i++) {
		struct file *file = CONTAINER_OF(work, struct file, RELEASED);

		if (is_opened_for_exec(file))
			script = file;
		work = (u64)READ((struct callback_head *)work, next);
	}
	return work ? 0 : script;
}

#endif

#endif /* HAVE_PROGRAM_FILE */
