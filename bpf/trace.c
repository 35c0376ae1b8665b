/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The probe of `exec_exporter trace`: sends the whole record of every exec. Compiled
 * by BCC; -D gives RING_PAGES, CPUS, HASH_KEY_0, HASH_KEY_1, ARGV_BYTES and ENV_BYTES.
 */
#include "kernel_types.h"
#include "exec.h"
#include "siphash.h"
#include "kernel.h"
#include "path.h"
#include "identity.h"
#include "introduction.h"

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
	int cpu = bpf_get_smp_processor_id();
	struct scratch *space = scratch.lookup(&cpu);
	u64 size;

	count(COUNTER_PROBE_RUNS);
	if (!space) /* never: the verifier asks */
		return 0;
	space->script = 0;
	identify_exec(task, bprm, &space->introduction.key, space);
	size = write_introduction(task, bprm, space);
	if (size > sizeof(space->introduction)) /* never: the verifier asks */
		return 0;
	if (records.ringbuf_output(&space->introduction, size, 0))
		count(COUNTER_RECORDS_REFUSED);
	return 0;
}
