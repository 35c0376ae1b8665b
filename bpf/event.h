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
	KEY_SCRIPT = 1,			    /* the kernel started an interpreter: "#!" or binfmt_misc */
	KEY_FROM_KERNEL = 2,		    /* the parent is a kernel thread */
	KEY_DELETED = 4,		    /* the file's name is gone from its directory */
	KEY_MEMFD = 8,			    /* the file is a memfd */
	KEY_DISCONNECTED = 16,		    /* the path does not lead to the root of a mount namespace */
	KEY_TRUNCATED = 32,		    /* the path has more components than are walked */
	KEY_UNREADABLE = 64,		    /* this kernel does not show the program's file */
	KEY_INTERPRETER_DELETED = 128,	    /* as KEY_DELETED, of the ELF interpreter */
	KEY_INTERPRETER_MEMFD = 256,	    /* as KEY_MEMFD, of the ELF interpreter */
	KEY_INTERPRETER_DISCONNECTED = 512, /* as KEY_DISCONNECTED, of the ELF interpreter */
	KEY_INTERPRETER_TRUNCATED = 1024,   /* as KEY_TRUNCATED, of the ELF interpreter */
	KEY_AS_INVOKED = 2048,		    /* the script's own file is not known, only what was asked for */
	KEY_UPPER_LAYER = 4096,		    /* the file is in the upper layer of an overlay: no image brought it */
};

/* Entries of the counters array. LOST_* are the causes of exec_exporter_executions_lost_total. */
enum counter {
	COUNTER_PROBE_RUNS,
	COUNTER_LOST_MAP_FULL,
	COUNTER_LOST_NO_MEMORY,
	COUNTER_LOST_MAP_BUSY,
	COUNTER_RECORDS_REFUSED, /* the ring buffer was full */
	COUNTERS,
};

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
	struct identity interpreter; /* the ELF interpreter; of a script: the "#!" interpreter */
	u32 stdin_type;
	u32 flags;
};

struct exec_value {
	u64 executions;
	u64 introduced; /* 1 once the ring buffer has taken the introduction of this key */
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
