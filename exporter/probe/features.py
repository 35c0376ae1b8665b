"""Features of the probe, and the struct members of the kernel that each needs."""

from __future__ import annotations

from exporter.compiler.kernel_types import Feature, Members


def _layout(members: str, macro: str = "") -> Members:
    """Return a layout of members such as 'a.x a.y' or 'a.{x,y}'."""
    found: list[str] = []
    for word in members.split():
        struct_name, _, names = word.partition(".")
        found += [f"{struct_name}.{name}" for name in names.strip("{}").split(",")]
    return Members(tuple(found), macro)


_PROGRAM_FILE = (
    "linux_binprm.{file,filename,interp} file.f_path inode.{i_ino,i_sb,i_mode,i_generation}"
    " super_block.{s_dev,s_magic} path.{mnt,dentry} vfsmount.mnt_root"
    " mount.{mnt_parent,mnt_mountpoint,mnt,mnt_ns} dentry.{d_hash,d_parent,d_name,d_inode}"
    " hlist_bl_node.pprev qstr.{len,name}"
)
_STDIN = "task_struct.files files_struct.fdt fdtable.fd file.f_inode inode.{i_mode,i_rdev,i_sb} super_block.s_magic"
_MAPLE_TREE = (
    "task_struct.mm mm_struct.{saved_auxv,mm_mt} maple_tree.ma_root maple_range_64.{pivot,slot}"
    " maple_arange_64.{pivot,slot} vm_area_struct.vm_file"
)
_RB_TREE = (
    "task_struct.mm mm_struct.{saved_auxv,mm_rb} rb_root.rb_node rb_node.{rb_left,rb_right}"
    " vm_area_struct.{vm_start,vm_end,vm_rb,vm_file}"
)
_ARGUMENTS = "linux_binprm.{argc,envc} task_struct.mm mm_struct.{arg_start,arg_end,env_start,env_end}"
_RELEASED = "task_struct.task_works callback_head.next file.{f_path,f_inode,f_flags} path.dentry dentry.d_inode"
_PROCESSES = "task_struct.{pid,tgid,signal,group_leader,exit_code} signal_struct.{live,flags,group_exit_code}"
_MOUNT_NAMESPACE = (
    "task_struct.{thread_pid,nsproxy} pid.numbers upid.ns pid_namespace.child_reaper nsproxy.mnt_ns mount.mnt_ns"
)
_MISC_NAMESPACES = (
    "task_struct.cred cred.user_ns user_namespace.{level,parent,binfmt_misc} binfmt_misc.{entries,enabled}"
)
_OVERLAY = "ovl_inode.{vfs_inode,__upperdentry} ovl_path.dentry inode.i_size super_block.s_user_ns user_namespace.level"


FEATURES = (
    Feature(
        "program_file",
        "every execution is counted as path=unknown",
        (
            _layout(f"{_PROGRAM_FILE} dentry.d_shortname", "NAME_SHORTNAME"),
            _layout(f"{_PROGRAM_FILE} dentry.d_iname", "NAME_INAME"),
        ),
    ),
    Feature(
        "cwd",
        "the path of a script started by a relative path is unknown",
        (_layout("task_struct.fs fs_struct.pwd path.{mnt,dentry}"),),
    ),
    Feature(
        "ctime",
        "a file that is changed in place counts as the same file",
        (
            _layout("inode.{i_ctime_sec,i_ctime_nsec}", "CTIME_SPLIT"),
            _layout("inode.__i_ctime timespec64.{tv_sec,tv_nsec}", "CTIME_PRIVATE"),
            _layout("inode.i_ctime timespec64.{tv_sec,tv_nsec}", "CTIME_PLAIN"),
        ),
    ),
    Feature(
        "elf_interpreter",
        "dynamic programs look static: their interpreter label is empty",
        (_layout(_MAPLE_TREE, "VMA_MAPLE_TREE"), _layout(_RB_TREE, "VMA_RB_TREE")),
    ),
    Feature("stdin", "stdin_type is unknown", (_layout(_STDIN),)),
    Feature(
        "socket",
        "a shell has the trait shell_socket_stdin also if its standard input is one of a pair of Unix sockets",
        (_layout("file.private_data socket.sk sock.__sk_common sock_common.skc_family unix_sock.{addr,peer}"),),
    ),
    Feature(
        "anonymous_mounts",
        "a program on a detached mount has a path as if it were on the host",
        (
            _layout("mount.mnt_ns mnt_namespace.is_anon", "ANONYMOUS_FLAG"),
            _layout("mount.mnt_ns mnt_namespace.ns ns_common.ns_id", "ANONYMOUS_ID"),
            _layout("mount.mnt_ns mnt_namespace.seq", "ANONYMOUS_SEQUENCE"),
        ),
    ),
    Feature(
        "parent",
        "executions started by the kernel are not distinguished",
        (_layout("task_struct.{real_parent,flags,tgid}"),),
    ),
    Feature("arguments", "argv, env, their counts and sizes are unknown", (_layout(_ARGUMENTS),)),
    Feature(
        "inode_facts",
        "the size and the link count of a program's file are unknown",
        (_layout("inode.{i_size,i_nlink}"),),
    ),
    Feature("start_time", "the start time of a process is unknown", (_layout("task_struct.start_boottime"),)),
    Feature(
        "script_hook",
        "scripts are named as they were invoked",
        (
            # 6.14: a5874fde3c08 ("exec: Add a new AT_EXECVE_CHECK flag to execveat(2)")
            _layout("linux_binprm.{file,is_check} file.{f_inode,f_path}", "EXECVE_CHECK"),
            _layout("linux_binprm.file file.{f_inode,f_path}", "EXECVE_ONLY"),
        ),
    ),
    Feature(
        "released_script",
        "without a hook, scripts are named as they were invoked",
        (
            _layout(f"{_RELEASED} file.f_task_work", "RELEASED_TASK_WORK"),  # as in 6.8
            _layout(f"{_RELEASED} file.f_rcuhead", "RELEASED_RCU_HEAD"),  # as in 6.1
            _layout(f"{_RELEASED} file.f_u", "RELEASED_UNION"),  # as in 5.10
        ),
    ),
    Feature(
        "failed_calls",
        "without fexit and kretprobe, failed executions are not counted",
        (
            _layout("pt_regs.orig_ax task_struct.thread_info thread_info.status", "CALLS_X86"),
            _layout("pt_regs.syscallno task_struct.thread_info thread_info.flags", "CALLS_ARM64"),
        ),
    ),
    Feature(
        "kprobe_argument",
        "kprobes can hook neither scripts nor failed executions",
        (
            _layout("pt_regs.{di,ax}", "ARGUMENT_DI"),  # x86_64
            _layout("pt_regs.regs", "ARGUMENT_REGS"),  # arm64
        ),
    ),
    Feature("processes", "forks, exits, lifetimes and running processes are unknown", (_layout(_PROCESSES),)),
    Feature(
        "backing_file",
        "since Linux 6.5 the interpreter's path in a container is that in the image layer; before, nothing changes",
        (_layout("backing_file.{file,user_path}"),),
    ),
    Feature(
        "mount_namespace",
        "a container's program at a path of the host counts as a change of the host's",
        (_layout(f"{_PROGRAM_FILE} {_MOUNT_NAMESPACE}"),),
    ),
    Feature(
        "misc_namespaces",
        "since Linux 6.7 programs of formats that a container has registered itself count as scripts;"
        " before, nothing changes",
        (_layout(_MISC_NAMESPACES),),
    ),
    Feature(
        "overlay_backing",
        "programs look new at every start of their container",
        (
            _layout(f"{_OVERLAY} ovl_inode.oe ovl_entry.{{__numlower,__lowerstack}}", "OVERLAY_ENTRY"),
            _layout(f"{_OVERLAY} ovl_inode.lowerpath", "OVERLAY_LOWERPATH"),
            _layout(f"{_OVERLAY} ovl_inode.lower", "OVERLAY_LOWER"),
        ),
    ),
)
