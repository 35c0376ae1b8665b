/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The probe: counts every successful exec in `execs`, and sends one introduction
 * of each new key; follows processes from fork and exec to exit; counts failed execs.
 * An earlier hook, of which exporter/probe/script_hook.py chooses one, lets it know scripts
 * by their own file. Compiled by BCC; -D gives EXECS_ENTRIES, PROCESSES_ENTRIES,
 * RING_PAGES, CPUS, HASH_KEY_0, HASH_KEY_1, ARGV_BYTES, ENV_BYTES and, for what is
 * switched on, COLLECT_ARGUMENTS, COLLECT_PROCESSES, COLLECT_TRAITS, COLLECT_PRELOAD.
 */
#include "kernel_types.h"
#include "exec.h"
#include "siphash.h"
#include "kernel.h"
#include "path.h"
#include "identity.h"
#include "script.h"
#include "introduction.h"
#include "traits.h"
#include "arguments.h"
#include "process.h"

BPF_TABLE("hash", struct exec_key, struct exec_value, execs, EXECS_ENTRIES);
BPF_RINGBUF_OUTPUT(records, RING_PAGES);
BPF_PERCPU_ARRAY(counters, u64, COUNTERS);
BPF_ARRAY(scratch, struct scratch, CPUS); /* per CPU; too large for the kernel's own kind of that */
/* Not per CPU: between hook and tracepoint a task may move. Least recently used: failed execs never ask. */
BPF_TABLE("lru_hash", u64, struct opened, opened, OPENED_ENTRIES);
BPF_ARRAY(script_hook, u32, 1); /* whether there is one */
BPF_ARRAY(settings, struct settings, 1);
BPF_TABLE("hash", struct misc_interpreter, u8, misc_interpreters, 64);
BPF_PERCPU_ARRAY(histograms, struct histograms, FORMATS);
BPF_ARRAY(failures, u64, ERRORS); /* failed execs by errno; 0: one that has no number here */
BPF_TABLE("hash", u32, struct process, processes, PROCESSES_ENTRIES);
BPF_TABLE("hash", u64, struct exit_stats, exits, EXECS_ENTRIES); /* by exec_value.program */

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
	if (is_script(bprm)) {
		seen = opened.lookup(&task);
		if (seen)
			file = script_file(seen, bprm);
	}
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

#if defined(COLLECT_ARGUMENTS) && defined(HAVE_PROGRAM_FILE) && defined(HAVE_ARGUMENTS)

static __always_inline u32 format_of(struct linux_binprm *bprm, struct scratch *space, const struct settings *told)
{
	if (!is_script(bprm))
		return elf_format(space);
	if (told->misc_interpreters && misc_interpreters.lookup(interpreter_name(bprm, space)))
		return FORMAT_MISC;
	return FORMAT_SCRIPT;
}

/*
 * Plain additions are exact: these are the numbers of this CPU, which this program alone changes, and nothing that
 * executes comes between. Tracepoints are not preempted; where they are, since 7.0, the kernel skips the program for
 * whatever executes meanwhile on that CPU (6.2: 05b24ff9b2cf "bpf: Prevent bpf program recursion for raw tracepoint
 * probes"). The scratch of this CPU relies on that too.
 */
static __always_inline void observe(struct histograms *own, enum histogram_name name, u64 value, u64 bucket)
{
	if (bucket >= HISTOGRAM_BUCKETS) /* never: the verifier asks */
		return;
	own->sums[name] += value;
	own->buckets[name * HISTOGRAM_BUCKETS + bucket]++;
}

static __always_inline void observe_arguments(struct task_struct *task, struct linux_binprm *bprm,
					      struct scratch *space, const struct settings *told, s64 now)
{
	u32 format = format_of(bprm, space, told);
	struct histograms *own = histograms.lookup(&format);
	struct sizes sizes = sizes_of(task, bprm, space, now);

	if (!own) /* never: the verifier asks */
		return;
	observe(own, HISTOGRAM_ARGUMENTS, sizes.arguments, BUCKET(ARGUMENTS_BOUNDS, sizes.arguments));
	observe(own, HISTOGRAM_ARGUMENTS_BYTES, sizes.arguments_bytes,
		BUCKET(ARGUMENTS_BYTES_BOUNDS, sizes.arguments_bytes));
	observe(own, HISTOGRAM_ENVIRONMENT_BYTES, sizes.environment_bytes,
		BUCKET(ENVIRONMENT_BYTES_BOUNDS, sizes.environment_bytes));
	if (sizes.age_ms != AGE_UNKNOWN)
		observe(own, HISTOGRAM_BINARY_AGE, sizes.age_ms, BUCKET(BINARY_AGE_BOUNDS, sizes.age_ms));
}

#else

static __always_inline void observe_arguments(struct task_struct *task, struct linux_binprm *bprm,
					      struct scratch *space, const struct settings *told, s64 now)
{
}

#endif

#ifdef HAVE_PROCESSES

#ifdef COLLECT_PROCESSES

static __always_inline void follow(u32 tgid, u64 program, u64 executed)
{
	struct process process = {.program = program, .executed = executed};

	if (processes.update(&tgid, &process))
		count(COUNTER_PROCESSES_UNTRACKED);
}

/* The process of `tgid` has executed a program. Nobody else changes its entry. */
static __always_inline void follow_exec(u64 program, u64 executed)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct process *process = processes.lookup(&tgid);

	if (!process) {
		follow(tgid, program, executed);
		return;
	}
	process->executed = executed;
	process->program = program;
}

int on_exit(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx->args[0];
	struct process *process, ended;
	struct exit_stats *life, none = {};
	u32 tgid = READ(task, tgid);
	u64 lifetime, bucket, now;

	if (!is_last_thread(task))
		return 0;
	process = processes.lookup(&tgid);
	if (!process)
		return 0;
	ended = *process;
	if (processes.delete(&tgid)) /* another thread was the last one too, and quicker */
		return 0;
	now = bpf_ktime_get_boot_ns();
	life = exits.lookup(&ended.program);
	if (!life) {
		none.began = now;
		exits.insert(&ended.program, &none);
		life = exits.lookup(&ended.program);
		if (!life) {
			count(COUNTER_EXITS_LOST);
			return 0;
		}
	}
	switch (outcome_of(task)) {
	case OUTCOME_SUCCESS:
		__sync_fetch_and_add(&life->exits[OUTCOME_SUCCESS], 1);
		break;
	case OUTCOME_FAILURE:
		__sync_fetch_and_add(&life->exits[OUTCOME_FAILURE], 1);
		break;
	default:
		__sync_fetch_and_add(&life->exits[OUTCOME_SIGNAL], 1);
	}
	if (!ended.executed)
		return 0;
	lifetime = (now - ended.executed) / NS_PER_US;
	bucket = BUCKET(LIFETIME_BOUNDS, lifetime);
	if (bucket >= LIFETIME_BUCKETS) /* never: the verifier asks */
		return 0;
	__sync_fetch_and_add(&life->lifetime_us, lifetime);
	__sync_fetch_and_add(&life->lifetimes[bucket], 1);
	return 0;
}

#endif

int on_fork(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *parent = (struct task_struct *)ctx->args[0];
	struct task_struct *child = (struct task_struct *)ctx->args[1];
	u32 tgid = READ(child, tgid);

	if (READ(child, pid) != tgid) {
		count(COUNTER_FORKS_THREAD);
		return 0;
	}
	count(COUNTER_FORKS_PROCESS);
#ifdef COLLECT_PROCESSES
	u32 parent_tgid = READ(parent, tgid);
	struct process *process = processes.lookup(&parent_tgid);

	if (process) /* else it is a kernel thread */
		follow(tgid, process->program, 0);
#endif
	return 0;
}

#endif /* HAVE_PROCESSES */

#if !defined(COLLECT_PROCESSES) || !defined(HAVE_PROCESSES)
static __always_inline void follow_exec(u64 program, u64 executed)
{
}
#endif

static __always_inline int count_failure(s64 result)
{
	u32 error = -result;
	u64 *value;

	if (result >= 0)
		return 0;
	if (error >= ERRORS)
		error = 0;
	value = failures.lookup(&error);
	if (value)
		__sync_fetch_and_add(value, 1);
	return 0;
}

/* fexit of a function of one argument: it, and then what the function returns */
int on_exec_returned(u64 *arguments)
{
	return count_failure(arguments[1]);
}

#ifdef HAVE_KPROBE_ARGUMENT
int on_exec_returned_kretprobe(struct pt_regs *registers)
{
	return count_failure(returned(registers));
}
#endif

/* syscalls:sys_exit_execve and sys_exit_execveat: 8 bytes, the system call's number, and what it returns */
int on_exec_returned_tracepoint(u64 *fields)
{
	return count_failure(fields[2]);
}

int on_exec(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx->args[0];
	struct linux_binprm *bprm = (struct linux_binprm *)ctx->args[2];
	struct exec_value *value, first = {};
	struct scratch *space;
	struct exec_key *key;
	int cpu = bpf_get_smp_processor_id(), zero = 0, error;
	u64 size, executed = bpf_ktime_get_boot_ns();
	struct settings *told = settings.lookup(&zero);
	s64 now;

	count(COUNTER_PROBE_RUNS);
	space = scratch.lookup(&cpu);
	if (!space || !told) /* never: the verifier asks */
		return 0;
	now = told->boot_time_ns + executed;
	space->script = recall(bprm);
	key = &space->introduction.key;
	identify_exec(task, bprm, key, space);
#ifdef COLLECT_TRAITS
	key->flags |= trait_flags(task, bprm, space, now);
#endif

	value = execs.lookup(key);
	if (!value) {
		first.program = name_of(key);
		first.last = first.began = executed;
		error = execs.insert(key, &first);
		value = execs.lookup(key); /* another CPU may have been first */
		if (!value) {
			count(error == -E2BIG	 ? COUNTER_LOST_MAP_FULL
			      : error == -ENOMEM ? COUNTER_LOST_NO_MEMORY
						 : COUNTER_LOST_MAP_BUSY);
			follow_exec(0, executed); /* what it runs is not known */
			return 0;
		}
	}
	__sync_fetch_and_add(&value->executions, 1);
	value->last = executed;
	follow_exec(value->program, executed);
	observe_arguments(task, bprm, space, told, now);
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
