/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The probe: counts every successful exec in `execs` and sends one introduction of each new key, tracks processes from
 * fork and exec to exit, and counts failed execs. Hooks are chosen by exporter/probe/script_hook.py and
 * failure_hook.py.
 *
 * Compiled by BCC, with -D for EXECS_ENTRIES, PROCESSES_ENTRIES, RING_PAGES, CPUS, HASH_KEY_0, HASH_KEY_1, ARGV_BYTES,
 * ENV_BYTES and, as 0 or 1, COLLECT_ARGUMENTS, COLLECT_PRELOAD, COLLECT_PROCESSES, COLLECT_TRAITS.
 *
 * BCC rewrites the main file alone: only this file may use maps.
 */
#include "arguments.h"
#include "identity.h"
#include "introduction.h"
#include "misc.h"
#include "registers.h"
#include "script.h"
#include "task.h"
#include "traits.h"
#include "without.h"

#define E2BIG 7	  /* include/uapi/asm-generic/errno-base.h */
#define ENOMEM 12 /* the same */

BPF_TABLE("hash", struct exec_key, struct exec_value, execs, EXECS_ENTRIES);
BPF_RINGBUF_OUTPUT(records, RING_PAGES);
BPF_PERCPU_ARRAY(counters, u64, COUNTERS);
BPF_ARRAY(scratch, struct scratch, CPUS); /* one per CPU; too large for a per-CPU array */
/* Not per CPU: a task may migrate between hook and tracepoint. LRU: an exec that fails leaves its entry behind. */
BPF_TABLE("lru_hash", u64, struct opened, opened, OPENED_ENTRIES);
BPF_ARRAY(script_hook, u32, 1); /* 1 while a script hook is attached */
BPF_ARRAY(settings, struct settings, 1);
BPF_TABLE("hash", struct misc_interpreter, u8, misc_interpreters, 64);
BPF_PERCPU_ARRAY(histograms, struct histograms, FORMATS);
BPF_ARRAY(failures, u64, ERRORS); /* failed execs by errno; 0: an errno that is out of range */
BPF_TABLE("hash", u32, struct process, processes, PROCESSES_ENTRIES);
BPF_TABLE("hash", u64, struct exit_stats, exits, EXECS_ENTRIES); /* by exec_value.program */

/* --- helpers --- */

static __always_inline void count(u32 counter)
{
	u64 *value = counters.lookup(&counter);

	if (value)
		__sync_fetch_and_add(value, 1);
}

#if defined(HAVE_PROGRAM_FILE) && defined(HAVE_SCRIPT_HOOK)

/* The key is the task's address: a thread that executes takes over its leader's id before the tracepoint. */
static __always_inline void remember_script(struct linux_binprm *bprm)
{
	u64 task = bpf_get_current_task();
	struct opened seen;

	if (is_check(bprm))
		return;
	seen = opened_by(bprm);
	opened.update(&task, &seen);
}

/* The file that the hook remembered for this exec if it is a script, else NULL. Forgets the file. */
static __always_inline struct file *take_script(struct linux_binprm *bprm)
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

#endif

#if defined(HAVE_PROGRAM_FILE) && defined(HAVE_ARGUMENTS)

static __always_inline u32 format_of(struct task_struct *task, struct linux_binprm *bprm, struct scratch *scratch,
				     const struct settings *settings)
{
	struct binfmt_misc *own;

	if (!is_script(bprm))
		return elf_format(scratch);
	own = own_formats(task);
	if (own)
		return is_registered(own, bprm, scratch) ? FORMAT_MISC : FORMAT_SCRIPT;
	if (settings->misc_interpreters && misc_interpreters.lookup(interpreter_name(bprm, scratch)))
		return FORMAT_MISC;
	return FORMAT_SCRIPT;
}

/*
 * Plain additions are exact: only this program changes this CPU's numbers, and no other exec on this CPU comes between.
 * Tracepoints are not preempted; where they are, since 7.0, the kernel skips the program for execs on that CPU
 * meanwhile (6.2: 05b24ff9b2cf "bpf: Prevent bpf program recursion for raw tracepoint probes"). The scratch memory
 * relies on that too.
 */
static __always_inline void observe(struct histograms *percpu, enum histogram_name name, u64 value, u64 bucket)
{
	if (bucket >= HISTOGRAM_BUCKETS) /* unreachable; required by the verifier */
		return;
	percpu->sums[name] += value;
	percpu->buckets[name * HISTOGRAM_BUCKETS + bucket]++;
}

static __always_inline void observe_arguments(struct task_struct *task, struct linux_binprm *bprm,
					      struct scratch *scratch, const struct settings *settings, s64 now)
{
	u32 format = format_of(task, bprm, scratch, settings);
	struct histograms *percpu = histograms.lookup(&format);
	struct sizes sizes = sizes_of(task, bprm, scratch, now);

	if (!percpu) /* unreachable; required by the verifier */
		return;
	observe(percpu, HISTOGRAM_ARGUMENTS, sizes.arguments, BUCKET(ARGUMENTS_BOUNDS, sizes.arguments));
	observe(percpu, HISTOGRAM_ARGUMENTS_BYTES, sizes.arguments_bytes,
		BUCKET(ARGUMENTS_BYTES_BOUNDS, sizes.arguments_bytes));
	observe(percpu, HISTOGRAM_ENVIRONMENT_BYTES, sizes.environment_bytes,
		BUCKET(ENVIRONMENT_BYTES_BOUNDS, sizes.environment_bytes));
	if (sizes.age_ms != AGE_UNKNOWN)
		observe(percpu, HISTOGRAM_BINARY_AGE, sizes.age_ms, BUCKET(BINARY_AGE_BOUNDS, sizes.age_ms));
}

#endif

#ifdef HAVE_PROCESSES

static __always_inline void track(u32 tgid, u64 program, u64 executed)
{
	struct process process = {.program = program, .executed = executed};

	if (processes.update(&tgid, &process))
		count(COUNTER_PROCESSES_UNTRACKED);
}

/* The current process has executed a program. No other CPU changes its entry. */
static __always_inline void track_exec(u64 program, u64 executed)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct process *process;

	if (!COLLECT_PROCESSES)
		return;
	process = processes.lookup(&tgid);
	if (!process) {
		track(tgid, program, executed);
		return;
	}
	process->executed = executed;
	process->program = program;
}

/* The entry of a program in `exits`, added if there is none; NULL: the map is full. */
static __always_inline struct exit_stats *exit_stats_of(u64 *program, u64 now)
{
	struct exit_stats *stats = exits.lookup(program), initial = {};

	if (stats)
		return stats;
	initial.began = now;
	exits.insert(program, &initial);
	return exits.lookup(program);
}

static __always_inline void count_lifetime(struct exit_stats *stats, u64 lifetime_us)
{
	u64 bucket = BUCKET(LIFETIME_BOUNDS, lifetime_us);

	if (bucket >= LIFETIME_BUCKETS) /* unreachable; required by the verifier */
		return;
	__sync_fetch_and_add(&stats->lifetime_us, lifetime_us);
	__sync_fetch_and_add(&stats->lifetimes[bucket], 1);
}

#endif /* HAVE_PROCESSES */

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

/* The entry of a key in `execs`, added if there is none; NULL: it could not be added, which is counted. */
static __always_inline struct exec_value *exec_value_of(struct exec_key *key, u64 executed)
{
	struct exec_value *value = execs.lookup(key), initial = {};
	int error;

	if (value)
		return value;
	initial.program = program_id(key);
	initial.last = initial.began = executed;
	error = execs.insert(key, &initial);
	value = execs.lookup(key); /* another CPU may have added it */
	if (!value)
		count(error == -E2BIG	 ? COUNTER_LOST_MAP_FULL
		      : error == -ENOMEM ? COUNTER_LOST_NO_MEMORY
					 : COUNTER_LOST_MAP_BUSY);
	return value;
}

/* Until the ring buffer has accepted the introduction of a key, each further exec of the key tries again. */
static __always_inline void introduce(struct task_struct *task, struct linux_binprm *bprm, struct scratch *scratch,
				      struct exec_value *value)
{
	u64 size = write_introduction(task, bprm, scratch);

	if (size > sizeof(scratch->introduction)) /* unreachable; required by the verifier */
		return;
	if (records.ringbuf_output(&scratch->introduction, size, 0) == 0)
		value->introduced = 1;
	else
		count(COUNTER_RECORDS_REFUSED);
}

/* --- programs, in the order in which an exec meets them --- */

#if defined(HAVE_PROGRAM_FILE) && defined(HAVE_SCRIPT_HOOK)

/* fentry, and LSM: 0 lets the exec continue */
int on_creds_for_exec(u64 *arguments)
{
	remember_script((struct linux_binprm *)arguments[0]);
	return 0;
}

#ifdef HAVE_KPROBE_ARGUMENT
int on_creds_for_exec_kprobe(struct pt_regs *registers)
{
	remember_script((struct linux_binprm *)FIRST_ARGUMENT(registers));
	return 0;
}
#endif

#endif

int on_exec(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx->args[0];
	struct linux_binprm *bprm = (struct linux_binprm *)ctx->args[2];
	int cpu = bpf_get_smp_processor_id(), zero = 0;
	u64 executed = bpf_ktime_get_boot_ns();
	struct settings *current = settings.lookup(&zero);
	struct scratch *percpu;
	struct exec_value *value;
	struct exec_key *key;
	s64 now;

	count(COUNTER_PROBE_RUNS);
	percpu = scratch.lookup(&cpu);
	if (!percpu || !current) /* unreachable; required by the verifier */
		return 0;
	now = current->boot_time_ns + executed;
	percpu->script = take_script(bprm);
	key = &percpu->introduction.key;
	identify_exec(task, bprm, key, percpu);
	if (COLLECT_TRAITS)
		key->flags |= trait_flags(task, bprm, percpu, now);
	value = exec_value_of(key, executed);
	if (!value) {
		track_exec(0, executed); /* 0: unknown */
		return 0;
	}
	__sync_fetch_and_add(&value->executions, 1);
	value->last = executed;
	track_exec(value->program, executed);
	if (COLLECT_ARGUMENTS)
		observe_arguments(task, bprm, percpu, current, now);
	if (!value->introduced)
		introduce(task, bprm, percpu, value);
	return 0;
}

#ifdef HAVE_PROCESSES

int on_fork(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *parent = (struct task_struct *)ctx->args[0];
	struct task_struct *child = (struct task_struct *)ctx->args[1];
	u32 tgid = READ(child, tgid), parent_tgid;
	struct process *process;

	if (READ(child, pid) != tgid) {
		count(COUNTER_FORKS_THREAD);
		return 0;
	}
	count(COUNTER_FORKS_PROCESS);
	if (!COLLECT_PROCESSES)
		return 0;
	parent_tgid = READ(parent, tgid);
	process = processes.lookup(&parent_tgid);
	if (process) /* else the parent is a kernel thread */
		track(tgid, process->program, 0);
	return 0;
}

int on_exit(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx->args[0];
	struct process *process, ended;
	struct exit_stats *stats;
	u32 tgid = READ(task, tgid);
	u64 now;

	if (!is_last_thread(task))
		return 0;
	process = processes.lookup(&tgid);
	if (!process)
		return 0;
	ended = *process;
	if (processes.delete(&tgid)) /* another last thread was faster */
		return 0;
	now = bpf_ktime_get_boot_ns();
	stats = exit_stats_of(&ended.program, now);
	if (!stats) {
		count(COUNTER_EXITS_LOST);
		return 0;
	}
	__sync_fetch_and_add(&stats->exits[outcome_of(task)], 1);
	if (ended.executed)
		count_lifetime(stats, (now - ended.executed) / NS_PER_US);
	return 0;
}

#endif /* HAVE_PROCESSES */

/* fexit of a function of one argument: the argument, then the return value */
int on_exec_returned(u64 *arguments)
{
	return count_failure(arguments[1]);
}

#ifdef HAVE_KPROBE_ARGUMENT
int on_exec_returned_kretprobe(struct pt_regs *registers)
{
	return count_failure(RETURN_VALUE(registers));
}
#endif

#ifdef HAVE_FAILED_CALLS
/* sys_exit, of every system call: those of syscalls:sys_exit_execve leave out the calls of 32-bit programs */
int on_call_returned(struct bpf_raw_tracepoint_args *ctx)
{
	s64 result = ctx->args[1];

	if (result >= 0 || !is_exec_call((struct pt_regs *)ctx->args[0]))
		return 0;
	return count_failure(result);
}
#endif
