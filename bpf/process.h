/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* By which name processes know what they run, and what becomes of them. */
#pragma once

/* A short name of a key. The exporter gives what ran before the probe numbers with the highest bit set. */
static __always_inline u64 name_of(const struct exec_key *key)
{
	const u64 *words = (const u64 *)key;
	struct siphash hash;

	siphash_start(&hash);
#pragma unroll
	for (int word = 0; word < sizeof(*key) / sizeof(*words); word++)
		siphash_word(&hash, words[word]);
	return siphash_end(&hash) & ~(1ULL << 63);
}

#ifdef HAVE_PROCESSES

#define SIGNAL_GROUP_EXIT 4 /* include/linux/sched/signal.h */

/* Whether it is the last thread of its process that exits: true for more than one if they do so at the same time. */
static __always_inline bool is_last_thread(struct task_struct *task)
{
	struct signal_struct *signal = READ(task, signal);
	u32 live = 1;

	READ_BYTES(&live, sizeof(live), &signal->live);
	return live == 0;
}

/* How the process of `task` ended, as wait(2) will have it. */
static __always_inline enum outcome outcome_of(struct task_struct *task)
{
	struct signal_struct *signal = READ(task, signal);
	struct task_struct *leader = READ(task, group_leader);
	u32 code = READ(leader, exit_code);

	if (READ(signal, flags) & SIGNAL_GROUP_EXIT)
		code = READ(signal, group_exit_code);
	if (code & 0x7f)
		return OUTCOME_SIGNAL;
	return code ? OUTCOME_FAILURE : OUTCOME_SUCCESS;
}

#endif
