/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Reads of memory. Only this header knows how a read is done: with TYPED_LOADS it is a single load, without it a
 * helper call, which takes 30 times as long. Memory that cannot be read yields 0 either way.
 *
 * TYPED_LOADS is a number; exporter/compiler/kernel_functions.py turns calls of it into calls of bpf_rdonly_cast()
 * (6.2: a35b9af4ec2c "bpf: Add a kfunc for generic type cast"). Kernel structs come from the running kernel's BTF:
 * exporter/compiler/kernel_types.py writes kernel_types.h.
 */
#pragma once

#include "kernel_types.h"

#define READ_BYTES(destination, size, source) bpf_probe_read_kernel(destination, size, source)
#define READ_STRING(destination, size, source) bpf_probe_read_kernel_str(destination, size, source)
#define READ_USER(destination, size, source) bpf_probe_read_user(destination, size, source)
#define READ_USER_STRING(destination, size, source) bpf_probe_read_user_str(destination, size, source)

/*
 * READ: a member of a kernel struct. READ_WORD: eight bytes at any address.
 *
 * WORDS_T, READ_WORDS, WORD: adjacent words; buffer is a u64 *. STRUCT_T, READ_STRUCT, MEMBER: a struct of which
 * several members are read. Where a read is one load both are addresses, and each word or member is read when it is
 * used; otherwise both are copies, made by one call.
 */
#ifdef TYPED_LOADS
static void *(*rdonly_cast)(const void *object, u32 type) __attribute__((const)) = (void *)TYPED_LOADS;
#define CAST(pointer) ((typeof(pointer))rdonly_cast(pointer, TYPE_ID(pointer)))
#define READ(object, member)                                                                                           \
	({                                                                                                             \
		typeof((object)->member) _value;                                                                       \
		if (TYPE_ID(object)) /* 0: the type is a module's; casts work for vmlinux types only */                \
			_value = *(volatile typeof(_value) *)&CAST(object)->member;                                    \
		else                                                                                                   \
			bpf_probe_read_kernel(&_value, sizeof(_value), &(object)->member);                             \
		_value;                                                                                                \
	})
/* struct rb_node begins with an unsigned long: any struct that does would serve */
#define READ_WORD(address) (*(volatile u64 *)CAST((struct rb_node *)(address)))
#define WORDS_T u64
#define READ_WORDS(buffer, count, source) ((u64)(source))
#define WORD(words, index) READ_WORD((words) + 8 * (index))
#define STRUCT_T(type) type *
#define READ_STRUCT(variable, source) ((variable) = (source))
#define MEMBER(variable, member) READ(READ_ONCE(variable), member)
#else
#define READ(object, member)                                                                                           \
	({                                                                                                             \
		typeof((object)->member) _value;                                                                       \
		bpf_probe_read_kernel(&_value, sizeof(_value), &(object)->member);                                     \
		_value;                                                                                                \
	})
#define READ_WORD(address)                                                                                             \
	({                                                                                                             \
		u64 _word;                                                                                             \
		bpf_probe_read_kernel(&_word, sizeof(_word), (void *)(address));                                       \
		_word;                                                                                                 \
	})
#define WORDS_T u64 *
#define READ_WORDS(buffer, count, source) (READ_BYTES(buffer, 8 * (count), (void *)(source)), (buffer))
#define WORD(words, index) ((words)[index])
#define STRUCT_T(type) type
#define READ_STRUCT(variable, source) READ_BYTES(&(variable), sizeof(variable), source)
#define MEMBER(variable, member) ((variable).member)
#endif

/*
 * Loads a variable from its map again. The verifier then knows nothing about its value, recognises one iteration of a
 * loop in another, and does not follow every history.
 */
#define READ_ONCE(variable) (*(volatile typeof(variable) *)&(variable))

#define CONTAINER_OF(pointer, type, member) ((type *)((u64)(pointer) - __builtin_offsetof(type, member)))
