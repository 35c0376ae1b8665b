/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The probe: counts every successful exec in `execs`, and sends one introduction
 * of each new key. An earlier hook, of which exporter/script_hook.py chooses one,
 * lets it know scripts by their own file. Compiled by BCC; -D gives EXECS_ENTRIES,
 * RING_PAGES, CPUS, HASH_KEY_0, HASH_KEY_1, ARGV_BYTES and ENV_BYTES.
 */
#include "kernel_types.h"
#include "event.h"
#include "siphash.h"
#include "kernel.h"
#include "path.h"
#include "identity.h"
#include "script.h"
#include "introduction.h"

BPF_TABLE("hash", struct exec_key, struct exec_value, execs, EXECS_ENTRIES);
BPF_RINGBUF_OUTPUT(records, RING_PAGES);
BPF_PERCPU_ARRAY(counters, u64, COUNTERS);
BPF_ARRAY(scratch, struct scratch, CPUS); /* per CPU; too large for the kernel's own kind of that */
/* Not per CPU: between hook and tracepoint a task may move. Least recently used: failed execs never ask. */
BPF_TABLE("lru_hash", u64, struct opened, opened, OPENED_ENTRIES);
BPF_ARRAY(script_hook, u32, 1); /* whether there is one */

static __always_inline void count(u32 counter)
{
	u64 *value = counters.lookup(&counter);

	if (value)
		__sync_fetch_and_add(value, 1);
}

#if defined(HAVE_SCRIPT_HOOK) && defined(HAVE_PROGRAM_FILE)

/* The key is the task's address: a thread that executes takes its leader's id before the tracepoint. */
static __always_inline void remember(struct linux_binprm *bprm)
{
	u64 task = bpf_get_current_task();
	struct opened seen;

	if (is_check(bprm))
		return;
	seen = opened_by(bprm);
	opened.update(&task, &seen);
}

/* The file that the hook saw of this exec, if it is a script, and forgets; else NULL. */
static __always_inline struct file *recall(struct linux_binprm *bprm)
{
	u64 task = bpf_get_current_task();
	struct file *file = 0;
	struct opened *seen;
	u32 *hooked, zero = 0;

	hooked = script_hook.lookup(&zero);
	if (!hooked || !*hooked)
		return 0;
	seen = opened.lookup(&task);
	if (!seen)
		return 0;
	if (is_script(bprm))
		file = script_file(seen, bprm);
	opened.delete(&task);
	return file;
}

/* fentry, and LSM: 0 lets the exec go on */
int on_creds_for_exec(u64 *arguments)
{
	remember((struct linux_binprm *)arguments[0]);
	return 0;
}

#ifdef HAVE_KPROBE_ARGUMENT
int on_creds_for_exec_kprobe(struct pt_regs *registers)
{
	remember((struct linux_binprm *)first_argument(registers));
	return 0;
}
#endif

#else

static __always_inline struct file *recall(struct linux_binprm *bprm)
{
	return 0;
}

#endif

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
	space->script = recall(bprm);
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
