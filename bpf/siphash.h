/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * SipHash-1-3 (Aumasson, Bernstein) of byte strings. The key is secret, so users cannot choose file names that collide.
 * The kernel's own dentry hash would not do: its salt is the address of the parent dentry, which changes whenever that
 * is evicted and read again.
 */
#pragma once

/*
 * The two halves of the key. The exporter replaces the constants HASH_KEY_0 and HASH_KEY_1 when it loads the program,
 * so what is compiled holds no secret. The compiler must not calculate with them.
 */
#define QUOTED(text) #text
#define LOADED_CONSTANT(placeholder)                                                                                   \
	({                                                                                                             \
		u64 value;                                                                                             \
		asm("%0 = " QUOTED(placeholder) " ll" : "=r"(value));                                                  \
		value;                                                                                                 \
	})

struct siphash {
	u64 v0, v1, v2, v3;
};

#define ROTATE_LEFT(x, bits) (((x) << (bits)) | ((x) >> (64 - (bits))))

static __always_inline void siphash_start(struct siphash *s)
{
	u64 lower = LOADED_CONSTANT(HASH_KEY_0), upper = LOADED_CONSTANT(HASH_KEY_1);

	s->v0 = 0x736f6d6570736575ULL ^ lower;
	s->v1 = 0x646f72616e646f6dULL ^ upper;
	s->v2 = 0x6c7967656e657261ULL ^ lower;
	s->v3 = 0x7465646279746573ULL ^ upper;
}

static __always_inline void siphash_round(struct siphash *s)
{
	s->v0 += s->v1;
	s->v1 = ROTATE_LEFT(s->v1, 13) ^ s->v0;
	s->v0 = ROTATE_LEFT(s->v0, 32);
	s->v2 += s->v3;
	s->v3 = ROTATE_LEFT(s->v3, 16) ^ s->v2;
	s->v0 += s->v3;
	s->v3 = ROTATE_LEFT(s->v3, 21) ^ s->v0;
	s->v2 += s->v1;
	s->v1 = ROTATE_LEFT(s->v1, 17) ^ s->v2;
	s->v2 = ROTATE_LEFT(s->v2, 32);
}

static __always_inline void siphash_word(struct siphash *s, u64 word)
{
	s->v3 ^= word;
	siphash_round(s);
	s->v0 ^= word;
}

/*
 * A string is added word by word. The last word holds the remaining 0 to 7 bytes and, in its top byte, their number
 * plus one, so that "ab", "c" differs from "a", "bc". Bytes of `word` behind the string are masked.
 */
static __always_inline u64 siphash_last_word(u64 word, u64 bytes)
{
	return (word & ((1ULL << (8 * bytes)) - 1)) | (bytes + 1) << 56;
}

static __always_inline u64 siphash_end(struct siphash *s)
{
	s->v2 ^= 0xff;
	siphash_round(s);
	siphash_round(s);
	siphash_round(s);
	return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}
