/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The climb from a file to the root of its mount namespace, one name a step, done
 * twice: on every exec to fold the names into a hash, and once for each new key to
 * write them down.
 */
#pragma once

#define NAME_BYTES 256 /* NAME_MAX and a NUL */
#define STRING_WORDS (TEXT_MAX / 8)
#define HASH_TURNS 384	/* PATH_MAX in pairs of words, and 128 names that do not fill their last */
#define WRITE_STEPS 128 /* names and mounts of a path that is written down; the verifier of 6.1 follows no more */

#ifdef HAVE_PROGRAM_FILE

#ifdef NAME_SHORTNAME /* 6.14: 61bc24ac9a39 ("dcache: back inline names with a struct-wrapped array of unsigned long") \
		       */
#define INLINE_NAME d_shortname
#else
#define INLINE_NAME d_iname
#endif
#define INLINE_NAME_BYTES sizeof(((struct dentry *)0)->INLINE_NAME)

/* Where a climb stands. It is too large for the stack, and lies in the scratch map. */
struct climb {
	u64 string[STRING_WORDS]; /* a string that is hashed: without TYPED_LOADS every name, one after the other */
#ifdef TYPED_LOADS
	struct dentry *passed; /* whose name the last step passed */
#else
	struct dentry passed; /* a copy of it as far as it is used: one read costs less than several */
#endif
	struct dentry *dentry;
	struct dentry *mount_root;
	struct mount *mount;
	u64 next; /* the word that is hashed next: its address, without TYPED_LOADS its index in `string` */
	s64 left; /* bytes that are not hashed yet; -1: none */
	u32 flags;
	u32 names; /* passed so far */
};

#ifdef TYPED_LOADS
#define PASSED(climb, member) READ(FRESH((climb)->passed), member)
#else
#define PASSED(climb, member) ((climb)->passed.member)
#endif

enum step {
	STEP_NAME,     /* passed a name; the climb has moved to its parent */
	STEP_MOUNT,    /* crossed a mount point */
	STEP_ROOT,     /* at the root of a mount namespace */
	STEP_DETACHED, /* at the root of a mount that is in no namespace */
	STEP_ORPHAN,   /* at a dentry without a parent, such as a memfd's, whose name it passed */
};

static __always_inline void climb_start(struct climb *climb, const struct path *path)
{
	climb->dentry = path->dentry;
	climb->mount = CONTAINER_OF(path->mnt, struct mount, mnt);
	climb->mount_root = READ(climb->mount, mnt.mnt_root);
}

static __always_inline enum step climb_step(struct climb *climb)
{
	struct dentry *parent;

	if (FRESH(climb->dentry) == FRESH(climb->mount_root)) {
		struct mount *above = READ(climb->mount, mnt_parent);

		if (above == climb->mount)
			return mount_is_internal(climb->mount) ? STEP_DETACHED : STEP_ROOT;
		climb->dentry = READ(climb->mount, mnt_mountpoint);
		climb->mount = above;
		climb->mount_root = READ(above, mnt.mnt_root);
		return STEP_MOUNT;
	}
#ifdef TYPED_LOADS
	climb->passed = climb->dentry;
#else
	READ_BYTES(&climb->passed, sizeof(climb->passed), climb->dentry);
#endif
	parent = PASSED(climb, d_parent);
	if (parent == climb->dentry)
		return STEP_ORPHAN;
	climb->dentry = parent;
	return STEP_NAME;
}

/* Makes a string, or the name that the last step passed, what climb_word() reads. */
static __always_inline void climb_string(struct climb *climb, const char *string)
{
	climb->left = (s64)READ_STRING(climb->string, TEXT_MAX, string) - 1;
#ifdef TYPED_LOADS
	climb->next = (u64)climb->string;
#else
	climb->next = 0;
#endif
}

static __always_inline void climb_name(struct climb *climb)
{
	u32 length = PASSED(climb, d_name.len);
#ifdef TYPED_LOADS
	/* it is aligned to words, inside of the dentry and outside: dentry_string_cmp() relies on it too */
	climb->next = (u64)PASSED(climb, d_name.name);
#else
	if (length < INLINE_NAME_BYTES)
		__builtin_memcpy(climb->string, &climb->passed.INLINE_NAME, INLINE_NAME_BYTES);
	else
		READ_STRING(climb->string, NAME_BYTES, climb->passed.d_name.name);
	climb->next = 0;
#endif
	climb->left = length;
}

static __always_inline u64 climb_word(struct climb *climb)
{
	u64 next = FRESH(climb->next);

#ifdef TYPED_LOADS
	climb->next = next + 8;
	return READ_WORD(next);
#else
	climb->next = next + 1;
	return next < STRING_WORDS ? climb->string[next] : 0;
#endif
}

/* mm/memfd.c names its files so, and no entry of a directory can be its own parent. */
static __always_inline bool climb_at_memfd(struct climb *climb)
{
	climb_name(climb);
	return (climb_word(climb) & 0xffffffffffff) ==
	       0x3a64666d656d; /* "memfd:" in the order of the machine's bytes */
}

/*
 * Hashes `string` and then the names of `path`, leaf first; either may be NULL. What
 * the path earns of the flags of exec_key is left in climb.flags.
 */
static __always_inline u64 hash_path(const struct path *path, const char *string, struct climb *climb)
{
	struct siphash hash;

	siphash_start(&hash);
	climb->left = -1;
	climb->flags = KEY_TRUNCATED; /* until it is seen that it is not */
	climb->names = 0;
	climb->dentry = 0;
	if (string)
		climb_string(climb, string);
	if (FRESH(path->dentry))
		climb_start(climb, path);
#pragma clang loop unroll(disable)
	for (u64 turn = 0; turn < HASH_TURNS; turn++) { /* one for each pair of words of a string, and each mount */
		u64 word;
		s64 left;

		if (FRESH(climb->left) < 0) {
			enum step step = FRESH(climb->dentry) ? climb_step(climb) : STEP_ROOT;

			if (step == STEP_MOUNT)
				continue;
			if (step != STEP_NAME) {
				climb->flags &= ~KEY_TRUNCATED;
				if (step == STEP_ORPHAN && !FRESH(climb->names) && climb_at_memfd(climb))
					climb->flags |= KEY_MEMFD;
				else if (step != STEP_ROOT)
					climb->flags |= KEY_DISCONNECTED;
				break;
			}
			if (!FRESH(climb->names)++ && !PASSED(climb, d_hash.pprev)) /* as d_unlinked() has it */
				climb->flags |= KEY_DELETED;
			climb_name(climb);
		}
		word = climb_word(climb);
		left = FRESH(climb->left);
		if (left >= 8) {
			siphash_word(&hash, word);
			word = climb_word(climb);
			left -= 8;
		}
		if (left < 8) {
			word = siphash_last_word(word, left);
			climb->left = -1;
		} else {
			climb->left = left - 8;
		}
		siphash_word(&hash, word);
	}
	return siphash_end(&hash);
}

#endif /* HAVE_PROGRAM_FILE */
