/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The probe of `exec_exporter trace`: sends the complete record of every exec. Compiled by BCC, with -D for RING_PAGES,
 * CPUS, HASH_KEY_0, HASH_KEY_1, ARGV_BYTES and ENV_BYTES.
 */
#include "exec.h"
#include "identity.h"
#include "introduction.h"
#include "scratch.h"

BPF_RINGBUF_OUTPUT(records, RING_PAGES);
BPF_PERCPU_ARRAY(counters, u64, COUNTERS);
BPF_ARRAY(scratch, struct scratch, CPUS); /* one per CPU; too large for a per-CPU array */

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
	struct scratch *percpu = scratch.lookup(&cpu);
	u64 size;

	count(COUNTER_PROBE_RUNS);
	if (!percpu) /* unreachable; required by the verifier */
		return 0;
	percpu->script = 0;
	identify_exec(task, bprm, &percpu->introduction.key, percpu);
	size = write_introduction(task, bprm, percpu);
	if (size > sizeof(percpu->introduction)) /* unreachable; required by the verifier */
		return 0;
	if (records.ringbuf_output(&percpu->introduction, size, 0))
		count(COUNTER_RECORDS_REFUSED);
	return 0;
}
