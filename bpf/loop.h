/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Long loops that a known program does not reach. With ITERATOR they have a numbers iterator (6.4: 06accc8779c1 "bpf:
 * add support for open-coded iterator loops"): the verifier follows the body until it learns nothing new, instead of
 * every iteration, but each iteration costs a call.
 *
 * ITERATOR is a number; exporter/compiler/kernel_functions.py turns calls of it and of the next two into calls of the
 * kernel's functions.
 */
#pragma once

#ifdef ITERATOR
struct iterator {
	u64 opaque;
};
static int (*iterator_new)(struct iterator *iterator, int start, int end) = (void *)ITERATOR;
static int *(*iterator_next)(struct iterator *iterator) = (void *)(ITERATOR + 1);
static void (*iterator_destroy)(struct iterator *iterator) = (void *)(ITERATOR + 2);

static __always_inline void destroy_iterator(struct iterator *iterator)
{
	iterator_destroy(iterator);
}

/* The outer loop has the iterator as its variable, and one iteration. */
#define LOOP(times)                                                                                                    \
	for (struct iterator _iterator __attribute__((cleanup(destroy_iterator))), *_at = &_iterator; _at; _at = 0)    \
		for (iterator_new(_at, 0, times); iterator_next(_at);)
#else
#define LOOP(times) _Pragma("clang loop unroll(disable)") for (u64 _i = 0; _i < (times); _i++)
#endif
