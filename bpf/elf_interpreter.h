/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The ELF interpreter of a program: AT_BASE of its auxiliary vector is the address where the kernel mapped it, and the
 * memory mapping (VMA) at that address has its file.
 */
#pragma once

#include "read.h"

#ifdef HAVE_ELF_INTERPRETER

#define AT_BASE 7 /* include/uapi/linux/auxvec.h */
/* Before AT_BASE stand six entries on every architecture, and up to three that some architectures add. */
#define AUXV_FIRST 6
#define AUXV_ENTRIES 12

/* The address of the ELF interpreter in an address space; 0: none. `buffer` holds 24 words. */
static __always_inline u64 interpreter_address(struct mm_struct *mm, u64 *buffer)
{
	WORDS_T auxv = READ_WORDS(buffer, 2 * AUXV_ENTRIES, &mm->saved_auxv);

	if (WORD(auxv, 0) >> 32) { /* a 32-bit program: an entry is two 32-bit numbers */
#pragma clang loop unroll(disable)
		for (u64 i = AUXV_FIRST; i < AUXV_ENTRIES; i++)
			if ((u32)WORD(auxv, i) == AT_BASE)
				return WORD(auxv, i) >> 32;
		return 0;
	}
#pragma clang loop unroll(disable)
	for (u64 i = AUXV_FIRST; i < AUXV_ENTRIES; i++)
		if (WORD(auxv, 2 * i) == AT_BASE)
			return WORD(auxv, 2 * i + 1);
	return 0;
}

#ifdef VMA_MAPLE_TREE /* 6.1: 524e00b36e8c ("mm: remove rb tree.") */

#define MAPLE_DEPTH 4
#define MAPLE_ROOT_IS_NODE(entry) (((entry) & 3) == 2 && (entry) > 4096)
#define MAPLE_TYPE(entry) (((entry) >> 3) & 15)
#define MAPLE_LEAF_64 1
#define MAPLE_ARANGE_64 3
#define RANGE_PIVOTS (sizeof(((struct maple_range_64 *)0)->pivot) / 8)
#define ARANGE_PIVOTS (sizeof(((struct maple_arange_64 *)0)->pivot) / 8)

/* The mapping at an address; NULL: not found. */
static __always_inline struct vm_area_struct *find_vma(struct mm_struct *mm, u64 address, u64 *buffer)
{
	u64 entry = READ_WORD(&mm->mm_mt.ma_root);

	if (!MAPLE_ROOT_IS_NODE(entry)) /* a tree of one entry has no nodes; every program has more */
		return 0;
#pragma clang loop unroll(disable)
	for (u64 depth = 0; depth < MAPLE_DEPTH; depth++) {
		u64 node = entry & ~255ULL, type = MAPLE_TYPE(entry), slot = 0, count = RANGE_PIVOTS;
		u64 slots = node + __builtin_offsetof(struct maple_range_64, slot);
		WORDS_T pivots;

		if (type == MAPLE_ARANGE_64) {
			count = ARANGE_PIVOTS;
			slots = node + __builtin_offsetof(struct maple_arange_64, slot);
		}
		/* in both kinds the pivots follow the parent word; arange_64 has fewer */
		pivots = READ_WORDS(buffer, RANGE_PIVOTS, node + __builtin_offsetof(struct maple_range_64, pivot));
#pragma clang loop unroll(disable)
		for (; slot < count; slot++) {
			u64 pivot = WORD(pivots, slot);

			if (!pivot || pivot >= address)
				break;
		}
		entry = READ_WORD(slots + 8 * slot);
		if (type == MAPLE_LEAF_64)
			return (struct vm_area_struct *)entry;
	}
	return 0;
}

#else /* VMA_RB_TREE */

#define RB_DEPTH 16

static __always_inline struct vm_area_struct *find_vma(struct mm_struct *mm, u64 address, u64 *buffer)
{
	struct rb_node *node = READ(mm, mm_rb.rb_node);

#pragma clang loop unroll(disable)
	for (u64 depth = 0; depth < RB_DEPTH && node; depth++) {
		struct vm_area_struct *vma = CONTAINER_OF(node, struct vm_area_struct, vm_rb);

		if (address < READ(vma, vm_start))
			node = READ(node, rb_left);
		else if (address >= READ(vma, vm_end))
			node = READ(node, rb_right);
		else
			return vma;
	}
	return 0;
}

#endif

/* The ELF interpreter's file; NULL: the program is static. `buffer` holds 24 words. */
static __always_inline struct file *interpreter_file(struct task_struct *task, u64 *buffer)
{
	struct mm_struct *mm = READ(task, mm);
	u64 address = interpreter_address(mm, buffer);
	struct vm_area_struct *vma = address ? find_vma(mm, address, buffer) : 0;

	return vma ? READ(vma, vm_file) : 0;
}

#endif /* HAVE_ELF_INTERPRETER */
