/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Files: identity, facts and path, also below an overlay. */
#pragma once

#include "exec.h"
#include "read.h"

/* include/uapi/linux/stat.h, include/uapi/linux/magic.h */
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
#define OVERLAYFS_SUPER_MAGIC 0x794c7630

#define NS_PER_SECOND 1000000000LL

#ifdef HAVE_PROGRAM_FILE

#ifdef HAVE_OVERLAY_BACKING
/* The inode in the upper layer of an overlay; NULL: there is none. */
static __always_inline struct inode *upper_inode(struct inode *inode)
{
	struct dentry *dentry = READ(CONTAINER_OF(inode, struct ovl_inode, vfs_inode), __upperdentry);

	return dentry ? READ(dentry, d_inode) : 0;
}

/* The dentry in the topmost lower layer, also of a file that was copied up; NULL: there is none, or it is not shown. */
static __always_inline struct dentry *lower_dentry(struct inode *inode)
{
	struct ovl_inode *overlay = CONTAINER_OF(inode, struct ovl_inode, vfs_inode);
#if defined(OVERLAY_ENTRY) /* 6.5: 0af950f57fef ("ovl: move ovl_entry into ovl_inode") */
	struct ovl_entry *entry = READ(overlay, oe);

	return entry && READ(entry, __numlower) ? READ(entry, __lowerstack[0].dentry) : 0;
#elif defined(OVERLAY_LOWERPATH) /* 6.0: ffa5723c6d25 ("ovl: store lower path in ovl_inode") */
	return READ(overlay, lowerpath.dentry);
#else
	return 0;
#endif
}

static __always_inline struct inode *lower_inode(struct inode *inode)
{
#if defined(OVERLAY_LOWER)
	return READ(CONTAINER_OF(inode, struct ovl_inode, vfs_inode), lower);
#else
	struct dentry *dentry = lower_dentry(inode);

	return dentry ? READ(dentry, d_inode) : 0;
#endif
}

/* Whoever mounts an overlay in a user namespace of his own chooses what lies below it. */
static __always_inline bool is_mounted_by_host(struct super_block *sb)
{
	struct user_namespace *owner = READ(sb, s_user_ns);

	return READ(owner, level) == 0;
}

/*
 * The inode below an overlay's: in the upper layer, else in the topmost lower one. The overlay's own device number
 * changes with every mount. Adds KEY_UPPER_LAYER and KEY_COPIED_UP to the flags.
 */
static __always_inline struct inode *backing_inode(struct inode *inode, u32 *flags)
{
	struct inode *upper = upper_inode(inode), *lower;
	struct dentry *origin;

	if (!upper) {
		lower = lower_inode(inode);
		return lower ? lower : inode;
	}
	*flags |= KEY_UPPER_LAYER;
	origin = lower_dentry(inode);
	lower = origin ? READ(origin, d_inode) : 0;
	if (lower && READ(lower, i_size) == READ(upper, i_size) && is_mounted_by_host(READ(inode, i_sb)))
		*flags |= KEY_COPIED_UP;
	return upper;
}
#endif

/* In ns since the epoch; 0: unknown. */
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

/*
 * True for a change time that no clock set as now has shown: the clock was ahead, or the filesystem is not honest. The
 * exporter's idea of the time of boot may be a little behind. Differences of more than 292 years are ahead, too.
 */
static __always_inline bool is_ahead(s64 ctime, s64 now)
{
	return (s64)((u64)now - (u64)ctime) < -NS_PER_SECOND;
}

/* Fills in an identity but for its path_hash; adds KEY_UPPER_LAYER and KEY_COPIED_UP to the flags. */
static __always_inline void identify(struct inode *inode, struct identity *id, u32 *flags)
{
	struct super_block *sb = READ(inode, i_sb);

#ifdef HAVE_OVERLAY_BACKING
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
#ifdef HAVE_OVERLAY_BACKING
	if (READ(sb, s_magic) == OVERLAYFS_SUPER_MAGIC) {
		struct inode *below = backing_inode(inode, &facts->flags);

		sb = READ(below, i_sb);
		facts->backing_inode = READ(below, i_ino);
		facts->backing_dev = READ(sb, s_dev);
		if (facts->flags & KEY_COPIED_UP) {
			below = lower_inode(inode);
			sb = READ(below, i_sb);
			facts->origin_inode = READ(below, i_ino);
			facts->origin_dev = READ(sb, s_dev);
			facts->origin_ctime = inode_ctime(below);
			facts->origin_generation = READ(below, i_generation);
		}
	}
#endif
}

/* True for a mount in no mount namespace: unmounted, or (IS_ERR) made by the kernel for itself. */
static __always_inline bool mount_is_internal(struct mount *mount)
{
	u64 ns = (u64)READ(mount, mnt_ns);

	return !ns || ns >= (u64)-4095;
}

/*
 * True for a mount that no process can reach by its name: in no mount namespace, or in the anonymous one of
 * open_tree(2) and fsmount(2), whose mounts are reached through a descriptor. See is_anon_ns().
 */
static __always_inline bool mount_is_detached(struct mount *mount)
{
	if (mount_is_internal(mount))
		return true;
#ifdef ANONYMOUS_FLAG /* 6.19: d9a44089ac77 ("fs: use boolean to indicate anonymous mount namespace") */
	return READ(READ(mount, mnt_ns), is_anon);
#elif defined(ANONYMOUS_ID) /* 6.18 */
	return !READ(READ(mount, mnt_ns), ns.ns_id);
#elif defined(ANONYMOUS_SEQUENCE)
	return !READ(READ(mount, mnt_ns), seq);
#else
	return false;
#endif
}

/*
 * The path of a file as user space knows it. Since 6.5 a file that an overlay opened for a mapping lies on an internal
 * mount, with the overlay's path beside it: 62d53c4a1dfe ("fs: use backing_file container for internal files with
 * "fake" f_path"). FMODE_BACKING cannot identify such files: its bit changed in 6.14, and both bits had other meanings.
 */
static __always_inline struct path user_path(struct file *file)
{
	struct path path = READ(file, f_path);
#ifdef HAVE_BACKING_FILE
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
