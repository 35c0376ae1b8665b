/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The probe: counts every successful exec in `execs`, and sends one introduction
 * of each new key. Compiled by BCC; -D gives EXECS_ENTRIES, RING_PAGES, CPUS,
 * HASH_KEY_0, HASH_KEY_1, ARGV_BYTES and ENV_BYTES.
 */
#include "kernel_types.h"
#include "event.h"
#include "siphash.h"
#include "kernel.h"
#include "path.h"
#include "identity.h"
#include "introduction.h"

BPF_TABLE("hash", struct exec_key, struct exec_value, execs, EXECS_ENTRIES);
BPF_RINGBUF_OUTPUT(records, RING_PAGES);
BPF_PERCPU_ARRAY(counters, u64, COUNTERS);
BPF_ARRAY(scratch, struct scratch, CPUS); /* per CPU; too large for the kernel's own kind of that */

static __always_inline void count(u32 counter)
{
	u64 *value = counters.lookup(&counter);

	if (value)
		__sync_fetch_and_add(value, 1);
}

int on_exec(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx->args[0];
	struct linux_binprm *bprm = (struct linux_binprm *)ctx->args[2];
	struct exec_value *value, first = {};
	struct scratch *space;
	struct exec_key *key;
	int cpu = bpf_get_smp_processor_id(), error;
	u64 size;

	count(COUNTER_PROBE_RUNS);
	space = scratch.lookup(&cpu);
	if (!space) /* never: the verifier asks */
		return 0;
	key = &space->introduction.key;
	identify_exec(task, bprm, key, space);

	value = execs.lookup(key);
	if (!value) {
		error = execs.insert(key, &first);
		value = execs.lookup(key); /* another CPU may have been first */
		if (!value) {
			count(error == -E2BIG	 ? COUNTER_LOST_MAP_FULL
			      : error == -ENOMEM ? COUNTER_LOST_NO_MEMORY
						 : COUNTER_LOST_MAP_BUSY);
			return 0;
		}
	}
	__sync_fetch_and_add(&value->executions, 1);
	if (value->introduced)
		return 0;
	/* until the ring buffer has taken the introduction, each further exec of the key tries again */
	size = write_introduction(task, bprm, space);
	if (size > sizeof(space->introduction)) /* never: the verifier asks */
		return 0;
	if (records.ringbuf_output(&space->introduction, size, 0) == 0)
		value->introduced = 1;
	else
		count(COUNTER_RECORDS_REFUSED);
	return 0;
}
