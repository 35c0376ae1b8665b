/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Shared by the probe and the exporter: keys, values and records, and the numbers that stand for names. Python takes
 * the structs' layouts from BCC and parses the enums and *_BOUNDS in this file, so each is written once.
 */
#pragma once

/* Type of the file on descriptor 0. The names, in lower case, are label values. */
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
	KEY_DELETED = 4,		   /* the file is no longer in its directory */
	KEY_MEMFD = 8,			   /* the file is a memfd */
	KEY_DISCONNECTED = 16,		   /* the path does not lead to the root of a mount namespace */
	KEY_TRUNCATED = 32,		   /* the path has more components than the walk follows */
	KEY_UNREADABLE = 64,		   /* this kernel does not show the program's file */
	KEY_AS_INVOKED = 128,		   /* the script's own file is unknown; identified by its path as invoked */
	KEY_UPPER_LAYER = 256,		   /* in the upper layer of an overlay: not from the image */
	KEY_WORLD_WRITABLE = 512,	   /* the file's directory is world-writable */
	KEY_WORLD_WRITABLE_AS_ROOT = 1024, /* the same, and executed by root */
	KEY_SETUID = 2048,		   /* setuid, or setgid and executable by its group */
	KEY_FRESH = 4096,		   /* changed less than FRESH_SECONDS before the exec, not after */
	KEY_PRELOAD = 8192,		   /* LD_PRELOAD or LD_AUDIT is set */
	KEY_CONNECTED_STDIN = 16384,	   /* descriptor 0 is a socket that not only its maker can write to */
	KEY_COPIED_UP = 32768, /* KEY_UPPER_LAYER, with a file below of the same size: perhaps not written */
};
#define FRESH_SECONDS 60

/* Indexes of the counters array. LOST_* are the causes of exec_exporter_executions_lost_total. */
enum counter {
	COUNTER_PROBE_RUNS,
	COUNTER_LOST_MAP_FULL,
	COUNTER_LOST_NO_MEMORY,
	COUNTER_LOST_MAP_BUSY,
	COUNTER_LOST_PREEMPTED,	 /* execs while the probe was preempted; counted by the kernel */
	COUNTER_RECORDS_REFUSED, /* the ring buffer was full */
	COUNTER_FORKS_PROCESS,
	COUNTER_FORKS_THREAD,
	COUNTER_PROCESSES_UNTRACKED, /* `processes` was full */
	COUNTER_EXITS_LOST,	     /* `exits` was full */
	COUNTERS,
};

/* Format of a program. The names, in lower case, are label values. */
enum format {
	FORMAT_ELF_DYNAMIC,
	FORMAT_ELF_STATIC,
	FORMAT_SCRIPT,
	FORMAT_MISC, /* binfmt_misc started an interpreter */
	FORMATS,
};

/* How a process ended. The names, in lower case, are label values. */
enum outcome {
	OUTCOME_SUCCESS, /* exit status 0 */
	OUTCOME_FAILURE, /* another exit status */
	OUTCOME_SIGNAL,	 /* killed by another signal */
	OUTCOME_CRASH,	 /* killed by a signal whose default action is to dump core */
	OUTCOMES,
};

/* Histograms of executions, by format. Sums are in the units of the bounds; one more bucket holds larger values. */
enum histogram_name {
	HISTOGRAM_ARGUMENTS,
	HISTOGRAM_ARGUMENTS_BYTES,
	HISTOGRAM_ENVIRONMENT_BYTES,
	HISTOGRAM_BINARY_AGE,
	HISTOGRAMS,
};
#define HISTOGRAM_BUCKETS 12

/* Upper bounds of buckets. How many arguments? Usually a handful; xargs and compilers pass thousands. */
#define ARGUMENTS_BOUNDS(X) X(1) X(2) X(4) X(8) X(16) X(32) X(64) X(256) X(1024) X(4096)
/* Close to a limit? 128 KiB for one argument, by default 2 MiB for all arguments and the environment. */
#define ARGUMENTS_BYTES_BOUNDS(X) X(64) X(256) X(1024) X(4096) X(16384) X(65536) X(131072) X(524288) X(2097152)
/* The same; an ordinary environment has 1 to 4 KiB. */
#define ENVIRONMENT_BYTES_BOUNDS(X) X(256) X(1024) X(2048) X(4096) X(16384) X(65536) X(131072) X(524288) X(2097152)
/* Changed just now, today, this week? In ms: 1 s, 10 s, 1 min, 10 min, 1 h, 1 day, 7, 30, 365 days. */
#define BINARY_AGE_BOUNDS(X)                                                                                           \
	X(1000) X(10000) X(60000) X(600000) X(3600000) X(86400000) X(604800000) X(2592000000) X(31536000000)
/* A command, a job or a service? In us: 1 ms, 10 ms, 100 ms, 1 s, 10 s, 1 min, 10 min, 1 h, 1 day. */
#define LIFETIME_BOUNDS(X)                                                                                             \
	X(1000) X(10000) X(100000) X(1000000) X(10000000) X(60000000) X(600000000) X(3600000000) X(86400000000)
#define LIFETIME_BUCKETS 10

/* A file, distinct from every other file that was or will be at its path. */
struct identity {
	u64 inode;
	s64 ctime;	/* ns since the epoch */
	u64 path_hash;	/* SipHash-1-3 of the path's components, leaf first */
	u32 dev;	/* the kernel's encoding: major << 20 | minor */
	u32 generation; /* differs when an inode number is reused */
};

/* Without padding: the map compares and hashes every byte. */
struct exec_key {
	struct identity file;	     /* a script known as invoked only has just a path_hash */
	struct identity interpreter; /* of a script: path_hash is that of its "#!" name as written */
	u32 stdin_type;
	u32 flags;
};

struct exec_value {
	u64 executions;
	u64 introduced; /* 1: the ring buffer has accepted the introduction of this key */
	u64 last;	/* time of the last execution: ns since boot */
	u64 program;	/* id of the key in `processes` and `exits` */
	u64 began;	/* creation of this entry: ns since boot; an evicted entry of the same key was older */
};

/* The program that a process runs. A forked child starts with its parent's and has not executed anything. */
struct process {
	u64 program;  /* exec_value.program, or an id from the exporter if the process is older than the probe */
	u64 executed; /* time of the exec: ns since boot; 0: forked only, or older than the probe */
};

/* How the processes of a program ended, and how long they lived since executing it. */
struct exit_stats {
	u64 began; /* as in exec_value */
	u64 exits[OUTCOMES];
	u64 lifetime_us; /* sum */
	u64 lifetimes[LIFETIME_BUCKETS];
};

/* One CPU's observations of a format. */
struct histograms {
	u64 sums[HISTOGRAMS];
	u64 buckets[HISTOGRAMS * HISTOGRAM_BUCKETS]; /* histogram by histogram */
};

/* An interpreter as registered with binfmt_misc, truncated and padded with NULs. */
struct misc_interpreter {
	char name[64];
};

#define ERRORS 134 /* more than the highest in include/uapi/asm-generic/errno.h */

/* Written by the exporter, read by the probe on every exec. */
struct settings {
	s64 boot_time_ns;      /* time of boot: ns since the epoch */
	u32 misc_interpreters; /* their number */
	u32 reserved;
};

/* A file as in stat(2), and what stat(2) does not show. */
struct file_facts {
	u64 inode;	   /* 0: no such file */
	s64 ctime;	   /* ns since the epoch */
	u64 size;	   /* bytes */
	u64 backing_inode; /* of the file below the overlay; 0: not on an overlay */
	u32 backing_dev;
	u32 dev; /* as in struct identity */
	u32 mode;
	u32 links;
	u32 generation;
	u32 flags;	  /* KEY_UPPER_LAYER, KEY_COPIED_UP */
	u64 origin_inode; /* KEY_COPIED_UP: of the file in the layer below */
	s64 origin_ctime;
	u32 origin_dev;
	u32 origin_generation;
};

/* The strings of a record, in the order of its text. */
enum text {
	TEXT_PATHNAME,		   /* the program image: components, leaf first, each NUL-terminated */
	TEXT_INTERPRETER_PATHNAME, /* the ELF interpreter: the same */
	TEXT_CWD,		   /* the working directory: the same */
	TEXT_STDIN_PATH,	   /* descriptor 0: the same */
	TEXT_SCRIPT_PATH,	   /* the script: the same; absent if known as invoked only */
	TEXT_ORIGIN_PATH,	   /* KEY_COPIED_UP: the file below, from the root of its filesystem: the same */
	TEXT_CMDPATH,		   /* as passed by the caller, NUL-terminated */
	TEXT_INTERP,		   /* bprm->interp: cmdpath, or the "#!" interpreter as written; NUL-terminated */
	TEXT_ARGV,		   /* each argument NUL-terminated */
	TEXT_ENV,		   /* the same */
	TEXTS,
};
#define PATHS 5 /* the first five texts are paths with flags and a scope */

/* Bits of introduction.path_flags, for each path. */
enum path_flag {
	PATH_PRESENT = 1,      /* there is a path; that of a root has no names */
	PATH_DELETED = 2,      /* the file is no longer in its directory */
	PATH_ORPHAN = 4,       /* in no directory (memfd, pipe, socket): the only name is not a path */
	PATH_DISCONNECTED = 8, /* does not lead to the root of a mount namespace */
};

/*
 * The longest string is "/dev/fd/<number>/" and PATH_MAX bytes. Each may be followed by another name of 255 bytes, so
 * that no read of a name has to be shortened to fit.
 */
#define TEXT_MAX 4128
#define TEXT_BYTES (8 * (TEXT_MAX + 256) + ARGV_BYTES + ENV_BYTES)

/*
 * The record of one exec: the members before `text`, and `text_bytes` of it. It introduces a new key; `exec_exporter
 * trace` shows the record of every exec.
 */
struct introduction {
	struct exec_key key; /* first: adjacent to what else every exec writes, see scratch.h */
	u32 text_bytes;
	u32 truncated;	/* bit 1 << TEXT_x: that string was truncated */
	u32 unreadable; /* bit 1 << TEXT_x: that string could not be read */
	u32 path_flags[PATHS];
	u32 text_size[TEXTS]; /* bytes of each string, including NULs; 0: absent */
	u64 scopes[PATHS];    /* which root directory a path starts from; 0: the host's, or unknown */
	struct file_facts program;
	struct file_facts interpreter;
	struct file_facts script;
	u64 stdin_inode;
	u64 cgroup;
	u64 time;	/* of the exec: ns since boot */
	u64 start_time; /* of the process: ns since boot */
	u64 argv_bytes; /* in total; the text may hold fewer */
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
