/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Formats of binfmt_misc. The exporter passes those of the host. A user namespace may have its own since 6.7:
 * 21ca59b365c0 ("binfmt_misc: enable sandboxed mounts"). Those are read from the kernel itself, because their files
 * lie wherever a container has mounted them.
 */
#pragma once

#include "loop.h"
#include "scratch.h"

#define MISC_FORMATS 64	   /* of a user namespace: further ones are not looked at */
#define USER_NAMESPACES 33 /* nested: create_user_ns() allows no more */

#if defined(HAVE_PROGRAM_FILE) && defined(HAVE_ARGUMENTS)

/* Copies the name of a script's interpreter to where a lookup can use it as a key. */
static __always_inline struct misc_interpreter *interpreter_name(struct linux_binprm *bprm, struct scratch *scratch)
{
	struct misc_interpreter *interpreter = (struct misc_interpreter *)scratch->walk.string;

	__builtin_memset(interpreter, 0, sizeof(*interpreter));
	READ_STRING(interpreter, sizeof(*interpreter), READ(bprm, interp));
	return interpreter;
}

#ifdef HAVE_MISC_NAMESPACES

/*
 * The start of `Node` or `binfmt_misc_entry` in fs/binfmt_misc.c, whose types a kernel may not show: the same from 3.18
 * to 7.3. The list is a ring up to 7.2, which ends at its head, and ends with 0 in 7.3; both heads begin with the
 * first.
 */
struct misc_format {
	u64 next;
	u64 previous;
	u64 flags; /* bit 0: it is enabled */
	int offset;
	int size;
	u64 magic;
	u64 mask;
	u64 interpreter;
};

/* The formats of the nearest user namespace that has its own; NULL: the host's apply. As load_binfmt_misc() does. */
static __always_inline struct binfmt_misc *own_formats(struct task_struct *task)
{
	struct user_namespace *ns = READ(READ(task, cred), user_ns);

#pragma clang loop unroll(disable)
	for (int i = 0; i < USER_NAMESPACES && READ(ns, level); i++) {
		struct binfmt_misc *formats = READ(ns, binfmt_misc);

		if (formats)
			return formats;
		ns = READ(ns, parent);
	}
	return 0;
}

static __always_inline bool is_registered(struct binfmt_misc *formats, struct linux_binprm *bprm,
					  struct scratch *scratch)
{
	struct misc_interpreter *name = interpreter_name(bprm, scratch), *registered = name + 1;
	u64 head = (u64)formats + __builtin_offsetof(struct binfmt_misc, entries);
	u64 at = READ_WORD(head);

	if (!READ(formats, enabled))
		return false;
	LOOP (MISC_FORMATS) {
		u64 differences = 0;

		if (!at || at == head)
			break;
		__builtin_memset(registered, 0, sizeof(*registered));
		READ_STRING(registered, sizeof(*registered),
			    (void *)READ_WORD(at + __builtin_offsetof(struct misc_format, interpreter)));
		for (int word = 0; word < sizeof(*name) / 8; word++)
			differences |= ((volatile u64 *)name)[word] ^ ((volatile u64 *)registered)[word];
		if (!differences && READ_WORD(at + __builtin_offsetof(struct misc_format, flags)) & 1)
			return true;
		at = READ_WORD(at + __builtin_offsetof(struct misc_format, next));
	}
	return false;
}

#endif /* HAVE_MISC_NAMESPACES */

#endif
