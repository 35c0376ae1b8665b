/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The walk from a file up to the root of its mount namespace, one name a step: on every exec to hash the names, and
 * once for each new key to write them down.
 */
#pragma once

#include "file.h"
#include "loop.h"
#include "siphash.h"

#define NAME_BYTES 256 /* NAME_MAX and a NUL */
#define STRING_WORDS (TEXT_MAX / 8)
/* Two words or a mount each. The first steps are in a loop without calls, and enough for most paths. */
#define STRING_STEPS 16
#define STRING_STEPS_MAX (TEXT_MAX / 16)
#define HASH_STEPS 32
#define HASH_STEPS_MAX 384 /* PATH_MAX in pairs of words, and 128 names that do not fill their last pair */
#define WRITE_STEPS 128	   /* names and mounts of a path that is written down: the verifier of 6.1 allows no more */
#define ORIGIN_STEPS 40	   /* the same, of the path of a file below an overlay */

#ifdef HAVE_PROGRAM_FILE

#ifdef NAME_SHORTNAME /* 6.14: 61bc24ac9a39 ("dcache: back inline names with a struct-wrapped array of unsigned long") \
		       */
#define INLINE_NAME d_shortname
#else
#define INLINE_NAME d_iname
#endif
#define INLINE_NAME_BYTES sizeof(((struct dentry *)0)->INLINE_NAME)

/* The state of a walk. Too large for the stack: it lies in the scratch map. */
struct walk {
	u64 string[STRING_WORDS];     /* the string to hash; without TYPED_LOADS also each name in turn */
	STRUCT_T(struct dentry) name; /* the dentry whose name the last step passed */
	struct dentry *dentry;
	struct dentry *mount_root;
	struct mount *mount;
	struct mount *top; /* the mount of the last name passed: at the end, that of the root directory */
	u64 next;	   /* the next word to hash: its address, without TYPED_LOADS its index in `string` */
	s64 left;	   /* bytes not hashed yet; -1: no string or name is being hashed */
	u32 flags;
	u32 names; /* number of names passed */
};

#define NAME_MEMBER(walk, member) MEMBER((walk)->name, member)

enum step {
	STEP_NAME,     /* passed a name; now at its parent */
	STEP_MOUNT,    /* crossed a mount point */
	STEP_ROOT,     /* at the root of a mount namespace */
	STEP_DETACHED, /* at the root of a mount that has no name */
	STEP_ORPHAN,   /* at a dentry without a parent, such as a memfd's; passed its name */
};

static __always_inline void walk_start(struct walk *walk, const struct path *path)
{
	walk->dentry = path->dentry;
	walk->mount = CONTAINER_OF(path->mnt, struct mount, mnt);
	walk->mount_root = READ(walk->mount, mnt.mnt_root);
}

/* Walks up to the root of the filesystem, wherever it is mounted. */
static __always_inline void walk_start_in_filesystem(struct walk *walk, struct dentry *dentry)
{
	walk->dentry = dentry;
	walk->mount = 0;
	walk->mount_root = 0;
}

static __always_inline enum step walk_step(struct walk *walk)
{
	struct dentry *parent;

	if (READ_ONCE(walk->dentry) == READ_ONCE(walk->mount_root)) {
		struct mount *above = READ(walk->mount, mnt_parent);

		if (above == walk->mount)
			return mount_is_detached(walk->mount) ? STEP_DETACHED : STEP_ROOT;
		walk->dentry = READ(walk->mount, mnt_mountpoint);
		walk->mount = above;
		walk->mount_root = READ(above, mnt.mnt_root);
		return STEP_MOUNT;
	}
	READ_STRUCT(walk->name, walk->dentry);
	parent = NAME_MEMBER(walk, d_parent);
	if (parent == walk->dentry)
		return STEP_ORPHAN;
	walk->dentry = parent;
	return STEP_NAME;
}

/* start_string() or start_name(), which takes the name that the last step passed, choose what name_word() returns. */

#ifdef TYPED_LOADS

#define FIRST_WORD(walk) ((u64)(walk)->string)

/* Names are aligned to words, inside a dentry and outside: dentry_string_cmp() relies on it too. */
static __always_inline void start_name(struct walk *walk)
{
	u32 length = NAME_MEMBER(walk, d_name.len);

	walk->next = (u64)NAME_MEMBER(walk, d_name.name);
	walk->left = length;
}

static __always_inline u64 name_word(struct walk *walk)
{
	u64 next = READ_ONCE(walk->next);

	walk->next = next + 8;
	return READ_WORD(next);
}

#else

#define FIRST_WORD(walk) 0

static __always_inline void start_name(struct walk *walk)
{
	u32 length = NAME_MEMBER(walk, d_name.len);

	if (length < INLINE_NAME_BYTES)
		__builtin_memcpy(walk->string, &walk->name.INLINE_NAME, INLINE_NAME_BYTES);
	else
		READ_STRING(walk->string, NAME_BYTES, NAME_MEMBER(walk, d_name.name));
	walk->next = FIRST_WORD(walk);
	walk->left = length;
}

static __always_inline u64 name_word(struct walk *walk)
{
	u64 next = READ_ONCE(walk->next);

	walk->next = next + 1;
	return next < STRING_WORDS ? walk->string[next] : 0;
}

#endif

static __always_inline void start_string(struct walk *walk, const char *string)
{
	walk->left = (s64)READ_STRING(walk->string, TEXT_MAX, string) - 1;
	walk->next = FIRST_WORD(walk);
}

/* mm/memfd.c gives its files such names, and no directory entry can be its own parent. */
static __always_inline bool is_memfd(struct walk *walk)
{
	start_name(walk);
	return (name_word(walk) & 0xffffffffffff) == 0x3a64666d656d; /* "memfd:" in the machine's byte order */
}

/* Hashes the next two words of the string or name, or the last one; returns false after its end. */
static __always_inline bool hash_words(struct siphash *hash, struct walk *walk)
{
	s64 left = READ_ONCE(walk->left);
	u64 word;

	if (left < 0)
		return false;
	word = name_word(walk);
	if (left >= 8) {
		siphash_word(hash, word);
		word = name_word(walk);
		left -= 8;
	}
	if (left < 8) {
		word = siphash_last_word(word, left);
		walk->left = -1;
	} else {
		walk->left = left - 8;
	}
	siphash_word(hash, word);
	return true;
}

static __always_inline u64 hash_string(const char *string, struct walk *walk)
{
	struct siphash hash;

	siphash_start(&hash);
	start_string(walk, string);
#pragma clang loop unroll(disable)
	for (u64 i = 0; i < STRING_STEPS; i++)
		if (!hash_words(&hash, walk))
			goto end;
	LOOP (STRING_STEPS_MAX - STRING_STEPS)
		if (!hash_words(&hash, walk))
			break;
end:
	return siphash_end(&hash);
}

/* Hashes a part of the string or of a name, or crosses a mount; returns false at the end of the path. */
static __always_inline bool hash_step(struct siphash *hash, struct walk *walk)
{
	if (READ_ONCE(walk->left) < 0) {
		enum step step = READ_ONCE(walk->dentry) ? walk_step(walk) : STEP_ROOT;

		if (step == STEP_MOUNT)
			return true;
		if (step != STEP_NAME) {
			walk->flags &= ~KEY_TRUNCATED;
			if (step == STEP_ORPHAN && !READ_ONCE(walk->names) && is_memfd(walk))
				walk->flags |= KEY_MEMFD;
			else if (step != STEP_ROOT)
				walk->flags |= KEY_DISCONNECTED;
			return false;
		}
		if (!READ_ONCE(walk->names)++ && !NAME_MEMBER(walk, d_hash.pprev)) /* as in d_unlinked() */
			walk->flags |= KEY_DELETED;
		start_name(walk);
	}
	return hash_words(hash, walk);
}

/*
 * Hashes `string` and then the names of `path`, leaf first; either may be NULL. Sets walk.flags to the bits of
 * exec_key.flags that follow from the path.
 */
static __always_inline u64 hash_path(const struct path *path, const char *string, struct walk *walk)
{
	struct siphash hash;

	siphash_start(&hash);
	walk->left = -1;
	walk->flags = KEY_TRUNCATED; /* until the end is reached */
	walk->names = 0;
	walk->dentry = 0;
	if (string)
		start_string(walk, string);
	if (READ_ONCE(path->dentry))
		walk_start(walk, path);
#pragma clang loop unroll(disable)
	for (u64 i = 0; i < HASH_STEPS; i++)
		if (!hash_step(&hash, walk))
			goto end;
	LOOP (HASH_STEPS_MAX - HASH_STEPS)
		if (!hash_step(&hash, walk))
			break;
end:
	return siphash_end(&hash);
}

#endif /* HAVE_PROGRAM_FILE */
