/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Everything that reads kernel memory or differs between kernels, behind one
 * accessor each. The structs come from the running kernel's BTF (kernel_types.h,
 * made by exporter/compiler/kernel_types.py, which also says what each HAVE_ macro means).
 */
#pragma once

/*
 * The one layer of reads. With TYPED_LOADS, a number that exporter/compiler/typed_loads.py makes into
 * a call of the kernel's bpf_rdonly_cast() (6.2: a35b9af4ec2c "bpf: Add a kfunc for
 * generic type cast"), a read is one load; without, it is the call of a helper, which
 * takes 30 times as long. What cannot be read is 0 either way.
 */
#ifdef TYPED_LOADS
static void *(*rdonly_cast)(const void *object, u32 type) __attribute__((const)) = (void *)TYPED_LOADS;
#define CAST(pointer) ((typeof(pointer))rdonly_cast(pointer, TYPE_ID(pointer)))
#define READ(object, member)                                                                                           \
	({                                                                                                             \
		typeof((object)->member) _value;                                                                       \
		if (TYPE_ID(object)) /* else a module has the type, to which there is no cast */                       \
			_value = *(volatile typeof(_value) *)&CAST(object)->member;                                    \
		else                                                                                                   \
			bpf_probe_read_kernel(&_value, sizeof(_value), &(object)->member);                             \
		_value;                                                                                                \
	})
/* Eight bytes at any address: what begins with an unsigned long will do. */
#define READ_WORD(address) (*(volatile u64 *)CAST((struct rb_node *)(address)))
#else
#define READ(object, member)                                                                                           \
	({                                                                                                             \
		typeof((object)->member) _value;                                                                       \
		bpf_probe_read_kernel(&_value, sizeof(_value), &(object)->member);                                     \
		_value;                                                                                                \
	})
#define READ_WORD(address)                                                                                             \
	({                                                                                                             \
		u64 _word;                                                                                             \
		bpf_probe_read_kernel(&_word, sizeof(_word), (void *)(address));                                       \
		_word;                                                                                                 \
	})
#endif
#define READ_BYTES(destination, size, source) bpf_probe_read_kernel(destination, size, source)
#define READ_STRING(destination, size, source) bpf_probe_read_kernel_str(destination, size, source)
#define READ_USER(destination, size, source) bpf_probe_read_user(destination, size, source)

/* Words that lie together: read one by one where a read is cheap, else all at once into `room`, a u64 *. */
#ifdef TYPED_LOADS
#define READ_WORDS(room, count, source) ((u64)(source))
#define WORD(words, index) READ_WORD((words) + 8 * (index))
typedef u64 words_t;
#else
#define READ_WORDS(room, count, source) (READ_BYTES(room, 8 * (count), (void *)(source)), (room))
#define WORD(words, index) ((words)[index])
typedef u64 *words_t;
#endif

/*
 * Loads afresh from a map what a loop counts there. The verifier then knows nothing of
 * it, takes one turn of the loop for another, and does not follow every history.
 */
#define FRESH(variable) (*(volatile typeof(variable) *)&(variable))

#define CONTAINER_OF(pointer, type, member) ((type *)((u64)(pointer) - __builtin_offsetof(type, member)))

/* include/linux/stat.h, sched.h, fs.h, magic.h, kdev_t.h: fixed for user space or for ever. */
#define S_IFMT 0170000
#define S_IFIFO 0010000
#define S_IFCHR 0020000
#define S_IFDIR 0040000
#define S_IFBLK 0060000
#define S_IFREG 0100000
#define S_IFSOCK 0140000
#define S_ISUID 0004000
#define S_ISGID 0002000
#define S_IXGRP 0000010
#define S_IWOTH 0000002
#define PF_KTHREAD 0x00200000
#define ANON_INODE_FS_MAGIC 0x09041934
#define PIDFS_MAGIC 0x50494446
#define OVERLAYFS_SUPER_MAGIC 0x794c7630
#define MAJOR(dev) ((dev) >> 20)
#define MINOR(dev) ((dev) & 0xfffff)

#define E2BIG 7
#define ENOMEM 12
#define AT_BASE 7
#define NS_PER_SECOND 1000000000LL

/* --- files --- */

#ifdef HAVE_PROGRAM_FILE

#if HAVE_OVERLAY_BACKING
/*
 * The inode below an overlay: in the upper layer, else in the topmost lower one.
 * The overlay's own device is another one each time that it is mounted.
 */
static __always_inline struct inode *backing_inode(struct inode *inode, u32 *flags)
{
	struct ovl_inode *overlay = CONTAINER_OF(inode, struct ovl_inode, vfs_inode);
	struct dentry *dentry = READ(overlay, __upperdentry);
	struct inode *below = 0;

	if (dentry)
		below = READ(dentry, d_inode);
	if (below) {
		*flags |= KEY_UPPER_LAYER;
		return below;
	}
#if defined(OVERLAY_ENTRY) /* 6.5: 0af950f57fef ("ovl: move ovl_entry into ovl_inode") */
	struct ovl_entry *entry = READ(overlay, oe);

	if (!entry || !READ(entry, __numlower))
		return inode;
	dentry = READ(entry, __lowerstack[0].dentry);
	below = dentry ? READ(dentry, d_inode) : 0;
#elif defined(OVERLAY_LOWERPATH) /* 6.0: ffa5723c6d25 ("ovl: store lower path in ovl_inode") */
	dentry = READ(overlay, lowerpath.dentry);
	below = dentry ? READ(dentry, d_inode) : 0;
#else
	below = READ(overlay, lower);
#endif
	return below ? below : inode;
}
#endif

static __always_inline s64 inode_ctime(struct inode *inode)
{
#if defined(CTIME_SPLIT) /* 6.11: 3aa63a569c64 ("fs: switch timespec64 fields in inode to discrete integers") */
	/* 6.13: 4e40eff0b573 ("fs: add infrastructure for multigrain timestamps"): bit 31 is a flag */
	return READ(inode, i_ctime_sec) * NS_PER_SECOND + (READ(inode, i_ctime_nsec) & 0x7fffffff);
#elif defined(CTIME_PRIVATE) /* 6.6: 13bc24457850 ("fs: rename i_ctime field to __i_ctime") */
	return READ(inode, __i_ctime.tv_sec) * NS_PER_SECOND + READ(inode, __i_ctime.tv_nsec);
#elif defined(CTIME_PLAIN)
	return READ(inode, i_ctime.tv_sec) * NS_PER_SECOND + READ(inode, i_ctime.tv_nsec);
#else
	return 0;
#endif
}

/* All of the identity but the path's hash; what it earns of the flags of exec_key is added to `flags`. */
static __always_inline void identify(struct inode *inode, struct identity *id, u32 *flags)
{
	struct super_block *sb = READ(inode, i_sb);

#if HAVE_OVERLAY_BACKING
	if (READ(sb, s_magic) == OVERLAYFS_SUPER_MAGIC) {
		inode = backing_inode(inode, flags);
		sb = READ(inode, i_sb);
	}
#endif
	id->inode = READ(inode, i_ino);
	id->dev = READ(sb, s_dev);
	id->ctime = inode_ctime(inode);
	id->generation = READ(inode, i_generation);
}

static __always_inline void describe_file(struct inode *inode, struct file_facts *facts)
{
	struct super_block *sb = READ(inode, i_sb);

	facts->inode = READ(inode, i_ino);
	facts->dev = READ(sb, s_dev);
	facts->ctime = inode_ctime(inode);
	facts->mode = READ(inode, i_mode);
	facts->generation = READ(inode, i_generation);
#ifdef HAVE_INODE_FACTS
	facts->size = READ(inode, i_size);
	facts->links = READ(inode, i_nlink);
#endif
#if HAVE_OVERLAY_BACKING
	if (READ(sb, s_magic) == OVERLAYFS_SUPER_MAGIC) {
		inode = backing_inode(inode, &facts->flags);
		sb = READ(inode, i_sb);
		facts->backing_inode = READ(inode, i_ino);
		facts->backing_dev = READ(sb, s_dev);
	}
#endif
}

/* Whether a mount is in no namespace of user space: a detached one, or (IS_ERR) one that the kernel made for itself. */
static __always_inline bool mount_is_internal(struct mount *mount)
{
	u64 ns = (u64)READ(mount, mnt_ns);

	return !ns || ns >= (u64)-4095;
}

/*
 * The path by which user space knows the file. Since 6.5 a file that an overlay opened
 * for a mapping lies on an internal mount and has the overlay's path beside it:
 * 62d53c4a1dfe ("fs: use backing_file container for internal files with "fake"
 * f_path"). FMODE_BACKING does not tell which these are: it is one bit until 6.13 and
 * another from 6.14 on, and each has had other meanings.
 */
static __always_inline struct path user_path(struct file *file)
{
	struct path path = READ(file, f_path);
#if HAVE_BACKING_FILE
	if (mount_is_internal(CONTAINER_OF(path.mnt, struct mount, mnt))) {
		struct path user = READ(CONTAINER_OF(file, struct backing_file, file), user_path);
		struct inode *inode = user.dentry ? READ(user.dentry, d_inode) : 0;
		struct super_block *sb = inode ? READ(inode, i_sb) : 0;

		if (sb && READ(sb, s_magic) == OVERLAYFS_SUPER_MAGIC)
			return user;
	}
#endif
	return path;
}

#endif /* HAVE_PROGRAM_FILE */

/* --- the earlier hook --- */

#ifdef HAVE_SCRIPT_HOOK
/* Whether nothing will be executed: the caller only asks whether it would be (AT_EXECVE_CHECK). */
static __always_inline bool is_check(struct linux_binprm *bprm)
{
#ifdef EXECVE_CHECK
	return READ(bprm, is_check) & linux_binprm_is_check_MASK;
#else
	return false;
#endif
}
#endif

#ifdef HAVE_KPROBE_ARGUMENT
/* The first argument of the function that a kprobe stands on. */
static __always_inline u64 first_argument(struct pt_regs *registers)
{
#ifdef ARGUMENT_DI
	return READ(registers, di);
#else
	return READ(registers, regs[0]);
#endif
}

/* What the function returns that a kretprobe stands on. */
static __always_inline s64 returned(struct pt_regs *registers)
{
#ifdef ARGUMENT_DI
	return READ(registers, ax);
#else
	return READ(registers, regs[0]);
#endif
}
#endif

/* --- the ELF interpreter --- */

#ifdef HAVE_ELF_INTERPRETER

/* AT_BASE has six entries before it that are the same everywhere, and up to three of the architecture's. */
#define AUXV_FIRST 6
#define AUXV_ENTRIES 12

/* Where the kernel mapped the ELF interpreter of the program in `mm`; 0: there is none. */
static __always_inline u64 interpreter_address(struct mm_struct *mm, u64 *room)
{
	words_t auxv = READ_WORDS(room, 2 * AUXV_ENTRIES, &mm->saved_auxv);

	if (WORD(auxv, 0) >> 32) { /* entries of a 32-bit program are pairs of 32 bits */
#pragma clang loop unroll(disable)
		for (u64 i = AUXV_FIRST; i < AUXV_ENTRIES; i++)
			if ((u32)WORD(auxv, i) == AT_BASE)
				return WORD(auxv, i) >> 32;
		return 0;
	}
#pragma clang loop unroll(disable)
	for (u64 i = AUXV_FIRST; i < AUXV_ENTRIES; i++)
		if (WORD(auxv, 2 * i) == AT_BASE)
			return WORD(auxv, 2 * i + 1);
	return 0;
}

#if defined(VMA_MAPLE_TREE) /* 6.1: 524e00b36e8c ("mm: remove rb tree.") */

#define MAPLE_DEPTH 4
#define MAPLE_ROOT_IS_NODE(entry) (((entry) & 3) == 2 && (entry) > 4096)
#define MAPLE_TYPE(entry) (((entry) >> 3) & 15)
#define MAPLE_LEAF_64 1
#define MAPLE_ARANGE_64 3
#define RANGE_PIVOTS (sizeof(((struct maple_range_64 *)0)->pivot) / 8)
#define ARANGE_PIVOTS (sizeof(((struct maple_arange_64 *)0)->pivot) / 8)

static __always_inline struct vm_area_struct *find_vma(struct mm_struct *mm, u64 address, u64 *room)
{
	u64 entry = READ_WORD(&mm->mm_mt.ma_root);

	if (!MAPLE_ROOT_IS_NODE(entry)) /* with one entry only the root is that entry: no program has so few */
		return 0;
#pragma clang loop unroll(disable)
	for (u64 depth = 0; depth < MAPLE_DEPTH; depth++) {
		u64 node = entry & ~255ULL, slots, type = MAPLE_TYPE(entry);
		u64 slot = 0, count = RANGE_PIVOTS;
		words_t pivots;

		if (type == MAPLE_ARANGE_64) {
			count = ARANGE_PIVOTS;
			slots = node + __builtin_offsetof(struct maple_arange_64, slot);
		} else {
			slots = node + __builtin_offsetof(struct maple_range_64, slot);
		}
		/* both kinds have their pivots after the parent word; arange_64 has fewer of them */
		pivots = READ_WORDS(room, RANGE_PIVOTS, node + __builtin_offsetof(struct maple_range_64, pivot));
#pragma clang loop unroll(disable)
		for (; slot < count; slot++) {
			u64 pivot = WORD(pivots, slot);

			if (!pivot || pivot >= address)
				break;
		}
		entry = READ_WORD(slots + 8 * slot);
		if (type == MAPLE_LEAF_64)
			return (struct vm_area_struct *)entry;
	}
	return 0;
}

#else /* the red-black tree of before */

#define RB_DEPTH 16

static __always_inline struct vm_area_struct *find_vma(struct mm_struct *mm, u64 address, u64 *room)
{
	struct rb_node *node = READ(mm, mm_rb.rb_node);

#pragma clang loop unroll(disable)
	for (u64 depth = 0; depth < RB_DEPTH && node; depth++) {
		struct vm_area_struct *vma = CONTAINER_OF(node, struct vm_area_struct, vm_rb);

		if (address < READ(vma, vm_start))
			node = READ(node, rb_left);
		else if (address >= READ(vma, vm_end))
			node = READ(node, rb_right);
		else
			return vma;
	}
	return 0;
}

#endif

/* The file of the ELF interpreter of the program that `task` now runs; 0: it is static. `room` is for 24 words. */
static __always_inline struct file *interpreter_file(struct task_struct *task, u64 *room)
{
	struct mm_struct *mm = READ(task, mm);
	u64 address = interpreter_address(mm, room);
	struct vm_area_struct *vma = address ? find_vma(mm, address, room) : 0;

	return vma ? READ(vma, vm_file) : 0;
}

#else

static __always_inline struct file *interpreter_file(struct task_struct *task, u64 *room)
{
	return 0;
}

#endif /* HAVE_ELF_INTERPRETER */

/* --- the task --- */

/* Descriptor 0; NULL: it is closed. */
static __always_inline struct file *stdin_file(struct task_struct *task)
{
	struct file *file = 0;
#ifdef HAVE_STDIN
	struct files_struct *files = READ(task, files);
	struct fdtable *fdt = READ(files, fdt);
	struct file **descriptors = (struct file **)READ(fdt, fd);

	file = (struct file *)READ_WORD(descriptors);
#endif
	return file;
}

static __always_inline u32 stdin_type(struct file *file)
{
#ifdef HAVE_STDIN
	if (!file)
		return STDIN_CLOSED;

	struct inode *inode = READ(file, f_inode);
	struct super_block *sb = READ(inode, i_sb);
	u64 magic = READ(sb, s_magic);
	u32 rdev;

	/* by superblock: the inode says "regular file" since 6.16: cfd86ef7e8e7 ("anon_inode: use a proper mode
	   internally") */
	if (magic == ANON_INODE_FS_MAGIC || magic == PIDFS_MAGIC)
		return STDIN_ANON;
	switch (READ(inode, i_mode) & S_IFMT) {
	case S_IFREG:
		return STDIN_FILE;
	case S_IFDIR:
		return STDIN_DIRECTORY;
	case S_IFIFO:
		return STDIN_PIPE;
	case S_IFSOCK:
		return STDIN_SOCKET;
	case S_IFBLK:
		return STDIN_BLOCKDEV;
	case S_IFCHR:
		break;
	case 0:
		return STDIN_ANON;
	default:
		return STDIN_UNKNOWN;
	}
	rdev = READ(inode, i_rdev);
	if (MAJOR(rdev) == 1 && MINOR(rdev) == 3)
		return STDIN_NULL;
	switch (MAJOR(rdev)) { /* Documentation/admin-guide/devices.txt */
	case 2:		       /* BSD pseudo-terminals: masters */
	case 3:		       /* slaves */
	case 4:		       /* virtual consoles and serial ports */
	case 5:		       /* /dev/tty, /dev/console, /dev/ptmx */
	case 136 ... 143:      /* Unix98 pseudo-terminals */
	case 166:	       /* USB modems */
	case 188:	       /* USB serial converters */
	case 204:	       /* serial ports of systems on a chip */
	case 229:	       /* hypervisor consoles */
		return STDIN_TTY;
	}
	return STDIN_CHARDEV;
#else
	return STDIN_UNKNOWN;
#endif
}

static __always_inline bool parent_is_kernel_thread(struct task_struct *task)
{
#ifdef HAVE_PARENT
	struct task_struct *parent = READ(task, real_parent);

	return READ(parent, flags) & PF_KTHREAD;
#else
	return false;
#endif
}

static __always_inline u64 start_time(struct task_struct *task)
{
#if defined(START_BOOTTIME) /* 5.5: cf25e24db61c ("time: Rename tsk->real_start_time to ->start_boottime") */
	return READ(task, start_boottime);
#elif defined(REAL_START_TIME)
	return READ(task, real_start_time);
#else
	return 0;
#endif
}
