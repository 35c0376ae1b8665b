/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The working memory of one CPU, in a map: too large for the stack, and values there are not tracked by the verifier.
 * Everything that every exec writes is adjacent: the end of walk, up to the key at the start of introduction.
 */
#pragma once

#include "exec.h"
#include "path.h"

#ifdef HAVE_PROGRAM_FILE
/* One of the two identities of a key before it is hashed. Members are NULL if they do not apply. */
struct subject {
	struct inode *inode;
	struct path path;
	const char *string; /* the name as written: of an interpreter, or of a script known as invoked only */
	u32 flags;	    /* bits of exec_key.flags that follow from the path */
};
#endif

/* Python takes the layout of struct introduction from here. */
struct scratch {
#ifdef HAVE_PROGRAM_FILE
	struct path paths[PATHS]; /* in the order of enum text */
	struct walk walk;
	struct subject subjects[2]; /* the file, its interpreter */
	struct file *interpreter;   /* the ELF interpreter */
#endif
	struct file *stdin;
	struct file *script;		  /* the script that the earlier hook saw; NULL: none */
	struct introduction introduction; /* its key is the key of this exec */
};
