/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What the probe and the exporter both know: the layout of keys, values and
 * introductions, and the numbers that stand for names. Python takes the layouts
 * from BCC and reads the enums below from this file, so each is written once.
 */
#pragma once

/* The file type of descriptor 0. The names are label values, in lower case. */
enum stdin_type {
	STDIN_UNKNOWN,
	STDIN_FILE,
	STDIN_DIRECTORY,
	STDIN_PIPE,
	STDIN_SOCKET,
	STDIN_TTY,
	STDIN_NULL,
	STDIN_CHARDEV,
	STDIN_BLOCKDEV,
	STDIN_ANON,
	STDIN_CLOSED,
};

/* Bits of exec_key.flags. */
enum key_flag {
	KEY_SCRIPT = 1,			   /* the kernel started an interpreter: "#!" or binfmt_misc */
	KEY_FROM_KERNEL = 2,		   /* the parent is a kernel thread */
	KEY_DELETED = 4,		   /* the file's name is gone from its directory */
	KEY_MEMFD = 8,			   /* the file is a memfd */
	KEY_DISCONNECTED = 16,		   /* the path does not lead to the root of a mount namespace */
	KEY_TRUNCATED = 32,		   /* the path has more components than are walked */
	KEY_UNREADABLE = 64,		   /* this kernel does not show the program's file */
	KEY_AS_INVOKED = 128,		   /* the script's own file is not known, only what was asked for */
	KEY_UPPER_LAYER = 256,		   /* the file is in the upper layer of an overlay: no image brought it */
	KEY_WORLD_WRITABLE = 512,	   /* everybody may write to the directory that the file is in */
	KEY_WORLD_WRITABLE_AS_ROOT = 1024, /* and it was executed by root */
	KEY_SETUID = 2048,		   /* the file is setuid, or setgid and executable by its group */
	KEY_FRESH = 4096,		   /* the file was changed less than FRESH_SECONDS before */
	KEY_PRELOAD = 8192,		   /* LD_PRELOAD or LD_AUDIT is set */
};
#define FRESH_SECONDS 60

/* Entries of the counters array. LOST_* are the causes of exec_exporter_executions_lost_total. */
enum counter {
	COUNTER_PROBE_RUNS,
	COUNTER_LOST_MAP_FULL,
	COUNTER_LOST_NO_MEMORY,
	COUNTER_LOST_MAP_BUSY,
	COUNTER_LOST_PREEMPTED,	 /* the kernel counts it, where a task can be preempted in the probe */
	COUNTER_RECORDS_REFUSED, /* the ring buffer was full */
	COUNTER_FORKS_PROCESS,
	COUNTER_FORKS_THREAD,
	COUNTER_PROCESSES_UNTRACKED, /* the map of processes was full */
	COUNTER_EXITS_LOST,	     /* the map of exits was full */
	COUNTERS,
};

/* What kind of program it is. The names are label values, in lower case. */
enum format {
	FORMAT_ELF_DYNAMIC,
	FORMAT_ELF_STATIC,
	FORMAT_SCRIPT,
	FORMAT_MISC, /* binfmt_misc started an interpreter */
	FORMATS,
};

/* How a process ended. The names are label values, in lower case. */
enum outcome {
	OUTCOME_SUCCESS, /* exit status 0 */
	OUTCOME_FAILURE, /* another exit status */
	OUTCOME_SIGNAL,	 /* killed by a signal */
	OUTCOMES,
};

/*
 * Histograms of executions, by format. The upper bounds of their buckets are chosen for
 * a question each; one more bucket holds what is above. Sums are in the same units.
 */
enum histogram_name {
	HISTOGRAM_ARGUMENTS,
	HISTOGRAM_ARGUMENTS_BYTES,
	HISTOGRAM_ENVIRONMENT_BYTES,
	HISTOGRAM_BINARY_AGE,
	HISTOGRAMS,
};
#define HISTOGRAM_BUCKETS 12

/* How long are command lines? Most have a handful of arguments; xargs and compilers fill them. */
#define ARGUMENTS_BOUNDS(X) X(1) X(2) X(4) X(8) X(16) X(32) X(64) X(256) X(1024) X(4096)
/* Which come near the limits? 128 KiB is that of one argument, 2 MiB the usual one of all with the environment. */
#define ARGUMENTS_BYTES_BOUNDS(X) X(64) X(256) X(1024) X(4096) X(16384) X(65536) X(131072) X(524288) X(2097152)
/* Likewise; an ordinary environment has 1 to 4 KiB. */
#define ENVIRONMENT_BYTES_BOUNDS(X) X(256) X(1024) X(2048) X(4096) X(16384) X(65536) X(131072) X(524288) X(2097152)
/* Was it changed just now, today, this week, ever? In milliseconds: 1 s, 10 s, 1 min, 10 min, 1 h, 1, 7, 30, 365 days.
 */
#define BINARY_AGE_BOUNDS(X)                                                                                           \
	X(1000) X(10000) X(60000) X(600000) X(3600000) X(86400000) X(604800000) X(2592000000) X(31536000000)
/* Is it a command, a job or a service? In microseconds: 1, 10, 100 ms, 1, 10 s, 1, 10 min, 1 h, 1 day. */
#define LIFETIME_BOUNDS(X)                                                                                             \
	X(1000) X(10000) X(100000) X(1000000) X(10000000) X(60000000) X(600000000) X(3600000000) X(86400000000)
#define LIFETIME_BUCKETS 10

/* One file, told apart from every other file that has been or will be at its path. */
struct identity {
	u64 inode;
	s64 ctime;	/* ns since the epoch */
	u64 path_hash;	/* SipHash-1-3 of the components of the path, leaf first */
	u32 dev;	/* the kernel's encoding: major << 20 | minor */
	u32 generation; /* inode numbers are reused; this is not */
};

/* No padding: the map compares and hashes every byte. */
struct exec_key {
	struct identity file;	     /* of a script as invoked: that path, in path_hash alone */
	struct identity interpreter; /* the ELF interpreter; of a script the "#!" one, and in path_hash as written */
	u32 stdin_type;
	u32 flags;
};

struct exec_value {
	u64 executions;
	u64 introduced; /* 1 once the ring buffer has taken the introduction of this key */
	u64 last;	/* of its last execution: ns since boot */
	u64 program;	/* a short name of the key: what processes and exits know it by */
	u64 began;	/* when the entry was made, ns since boot: one that was taken out before began earlier */
};

/* What a process runs. A forked child runs its parent's program and has executed nothing. */
struct process {
	u64 program;  /* exec_value.program, or a number that the exporter gave what ran before it */
	u64 executed; /* when: ns since boot; 0: not by this process, or before the probe */
};

/* How the processes of a program ended, and how long they lived after executing it. */
struct exit_stats {
	u64 began; /* as in exec_value */
	u64 exits[OUTCOMES];
	u64 lifetime_us; /* the sum */
	u64 lifetimes[LIFETIME_BUCKETS];
};

/* What one CPU has seen of a format. */
struct histograms {
	u64 sums[HISTOGRAMS];
	u64 buckets[HISTOGRAMS * HISTOGRAM_BUCKETS]; /* of one histogram after the other */
};

/* An interpreter that binfmt_misc starts, as registered; cut, and filled with NULs. */
struct misc_interpreter {
	char name[64];
};

#define ERRORS 134 /* include/uapi/asm-generic/errno.h; more than the highest */

/* What the exporter tells the probe while it runs. */
struct settings {
	s64 boot_time_ns;      /* when this machine was booted: ns since the epoch */
	u32 misc_interpreters; /* how many there are */
	u32 reserved;
};

/* What stat(2) says of a file, and what it does not. */
struct file_facts {
	u64 inode;	   /* 0: there is no such file */
	s64 ctime;	   /* ns since the epoch */
	u64 size;	   /* bytes */
	u64 backing_inode; /* of the file below an overlay; 0: not on an overlay */
	u32 backing_dev;
	u32 dev; /* as in struct identity */
	u32 mode;
	u32 links;
	u32 generation;
	u32 flags; /* KEY_UPPER_LAYER */
};

/* The strings of a record, in the order in which they follow each other in its text. */
enum text {
	TEXT_PATHNAME,		   /* the program image: components, leaf first, each ended by NUL */
	TEXT_INTERPRETER_PATHNAME, /* the ELF interpreter: likewise */
	TEXT_CWD,		   /* the working directory: likewise */
	TEXT_STDIN_PATH,	   /* descriptor 0: likewise */
	TEXT_SCRIPT_PATH,	   /* the script: likewise; absent if it is only known as invoked */
	TEXT_CMDPATH,		   /* as the caller gave it, ended by NUL */
	TEXT_INTERP,		   /* bprm->interp: as cmdpath, or the "#!" interpreter as written, ended by NUL */
	TEXT_ARGV,		   /* each argument ended by NUL */
	TEXT_ENV,		   /* likewise */
	TEXTS,
};
#define PATHS 5 /* the first so many texts are paths */

/* Bits of introduction.path_flags, for each path. */
enum path_flag {
	PATH_PRESENT = 1,      /* there is a path, be it that of a root, which has no names */
	PATH_DELETED = 2,      /* its name is gone from its directory */
	PATH_ORPHAN = 4,       /* it is in no directory: memfd, pipe, socket; its only name is not a path */
	PATH_DISCONNECTED = 8, /* it does not lead to the root of a mount namespace */
};

/*
 * The longest string is PATH_MAX of path after "/dev/fd/<number>/". Behind the paths
 * and strings there is the room that one more name of 255 bytes would need, so that
 * no read of a name has to be shortened to fit.
 */
#define TEXT_MAX 4128
#define TEXT_BYTES (7 * (TEXT_MAX + 256) + ARGV_BYTES + ENV_BYTES)

/*
 * Everything about one exec: everything before `text`, and `text_bytes` of it. It
 * introduces a new key, and is what `exec_exporter trace` shows of every exec.
 */
struct introduction {
	struct exec_key key; /* first, for what the probe changes on every exec lies before it */
	u32 text_bytes;
	u32 truncated;	/* bit 1 << TEXT_x: that string was cut */
	u32 unreadable; /* bit 1 << TEXT_x: that string could not be read */
	u32 path_flags[PATHS];
	u32 text_size[TEXTS]; /* bytes of each string, its NULs included; 0: absent */
	u32 reserved;
	struct file_facts program;
	struct file_facts interpreter;
	struct file_facts script;
	u64 stdin_inode;
	u64 cgroup;
	u64 time;	/* of the exec: ns since boot */
	u64 start_time; /* of the process: ns since boot */
	u64 argv_bytes; /* all of them, also where the text has fewer */
	u64 env_bytes;
	u32 argc;
	u32 envc;
	u32 pid;
	u32 ppid;
	u32 uid;
	u32 gid;
	char comm[16];
	char text[TEXT_BYTES];
};
