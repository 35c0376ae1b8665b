/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * SipHash-1-3 (Aumasson, Bernstein) over strings of bytes. A key that only the
 * exporter knows keeps a user from choosing file names that collide with others.
 * The kernel's own dentry hash does not serve: it is salted with the address of
 * the parent dentry, and changes whenever that is evicted and read again.
 */
#pragma once

struct siphash {
	u64 v0, v1, v2, v3;
};

#define ROTATE_LEFT(x, bits) (((x) << (bits)) | ((x) >> (64 - (bits))))

static __always_inline void siphash_start(struct siphash *s)
{
	s->v0 = 0x736f6d6570736575ULL ^ HASH_KEY_0;
	s->v1 = 0x646f72616e646f6dULL ^ HASH_KEY_1;
	s->v2 = 0x6c7967656e657261ULL ^ HASH_KEY_0;
	s->v3 = 0x7465646279746573ULL ^ HASH_KEY_1;
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
 * A string is added word by word. Its last word holds the 0 to 7 bytes over, whatever
 * lies behind them, and in its top byte their number and one: "ab", "c" is not "a", "bc".
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
