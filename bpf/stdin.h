/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Descriptor 0: its file, and what kind of file it is. */
#pragma once

#include "file.h"

/* include/uapi/linux/magic.h, include/linux/kdev_t.h */
#define ANON_INODE_FS_MAGIC 0x09041934
#define PIDFS_MAGIC 0x50494446
#define AF_UNSPEC 0 /* include/linux/socket.h */
#define AF_UNIX 1
#define AF_NETLINK 16
#define MAJOR(dev) ((dev) >> 20)
#define MINOR(dev) ((dev) & 0xfffff)

#ifdef HAVE_STDIN

/* The file of descriptor 0; NULL: closed. */
static __always_inline struct file *stdin_file(struct task_struct *task)
{
	struct files_struct *files = READ(task, files);
	struct fdtable *fdt = READ(files, fdt);
	struct file **descriptors = (struct file **)READ(fdt, fd);

	return (struct file *)READ_WORD(descriptors);
}

static __always_inline u32 stdin_type(struct file *file)
{
	if (!file)
		return STDIN_CLOSED;

	struct inode *inode = READ(file, f_inode);
	struct super_block *sb = READ(inode, i_sb);
	u64 magic = READ(sb, s_magic);
	u32 rdev;

	/* By superblock: since 6.16 the inode claims to be a regular file: cfd86ef7e8e7 ("anon_inode: use a proper
	   mode internally") */
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
	case 2 ... 5:	  /* BSD pseudo-terminals, virtual consoles, serial ports, /dev/tty, /dev/console, /dev/ptmx */
	case 136 ... 143: /* Unix98 pseudo-terminals */
	case 166:	  /* USB modems */
	case 188:	  /* USB serial converters */
	case 204:	  /* serial ports of systems on a chip */
	case 229:	  /* hypervisor consoles */
		return STDIN_TTY;
	}
	return STDIN_CHARDEV;
}

/*
 * True if who started the program is not the only one who can write to the socket: its peer is on the network, in
 * another virtual machine, or has connected through the name of a Unix socket. The two ends of a socketpair(2) have no
 * name. True of every socket if this kernel does not show more.
 */
static __always_inline bool is_connection(struct file *file)
{
#ifdef HAVE_SOCKET
	struct socket *socket =
		(struct socket *)READ(file, private_data); /* NULL: only the path of a socket was opened */
	struct sock *sock = READ(socket, sk);
	u16 family = READ(sock, __sk_common.skc_family);
	struct unix_sock *end = (struct unix_sock *)sock;
	struct unix_sock *peer = (struct unix_sock *)READ(end, peer);

	if (family == AF_UNIX) /* what accept(2) returns has the name of the socket that listened */
		return READ(end, addr) || (peer && READ(peer, addr));
	return family != AF_UNSPEC && family != AF_NETLINK;
#else
	return true;
#endif
}

#endif /* HAVE_STDIN */
