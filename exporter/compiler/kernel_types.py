"""The kernel types that the probe reads, as C for the running kernel: BTF in, text out.

`FEATURES` says what the probe can do and which members each needs. Where a member moved or was renamed, a
feature has several layouts, newest first. A feature none of whose layouts this kernel has is missing: the
probe is compiled without it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from exporter.compiler.btf import ARRAY, BTF, ENUM, ENUM64, INT, PTR, STRUCT, UNION, Type

SCALARS = {1: "u8", 2: "u16", 4: "u32", 8: "u64"}


@dataclass(frozen=True)
class Layout:
    """Members, as `struct.member`, that exist together; `macro` tells the probe which layout it is."""

    members: tuple[str, ...]
    macro: str = ""


@dataclass(frozen=True)
class Feature:
    """What the probe can do if one of `layouts` exists; the probe sees it as HAVE_<NAME>."""

    name: str
    without: str
    layouts: tuple[Layout, ...]


@dataclass(frozen=True)
class KernelTypes:
    """The declarations as C, and the features that this kernel has not."""

    header: str
    missing: tuple[Feature, ...]


def _members(text: str) -> tuple[str, ...]:
    """'a.x a.y' as ('a.x', 'a.y'); 'a.{x,y}' likewise."""
    found: list[str] = []
    for word in text.split():
        struct_name, _, names = word.partition(".")
        found += [f"{struct_name}.{name}" for name in names.strip("{}").split(",")]
    return tuple(found)


_PROGRAM_FILE = _members(
    "linux_binprm.{file,filename,interp} file.f_path inode.{i_ino,i_sb,i_mode,i_generation}"
    " super_block.{s_dev,s_magic} path.{mnt,dentry} vfsmount.mnt_root"
    " mount.{mnt_parent,mnt_mountpoint,mnt,mnt_ns} dentry.{d_hash,d_parent,d_name,d_inode}"
    " hlist_bl_node.pprev qstr.{len,name}"
)
_OVERLAY = _members("ovl_inode.{vfs_inode,__upperdentry} ovl_path.dentry")

FEATURES = (
    Feature(
        "program_file",
        "every execution is counted as path=unknown",
        (
            Layout((*_PROGRAM_FILE, "dentry.d_shortname"), "NAME_SHORTNAME"),
            Layout((*_PROGRAM_FILE, "dentry.d_iname"), "NAME_INAME"),
        ),
    ),
    Feature(
        "cwd",
        "the path of a script started by a relative path is unknown",
        (Layout(_members("task_struct.fs fs_struct.pwd path.{mnt,dentry}")),),
    ),
    Feature(
        "ctime",
        "a file that is changed in place is taken for the file it was",
        (
            Layout(_members("inode.{i_ctime_sec,i_ctime_nsec}"), "CTIME_SPLIT"),
            Layout(_members("inode.__i_ctime timespec64.{tv_sec,tv_nsec}"), "CTIME_PRIVATE"),
            Layout(_members("inode.i_ctime timespec64.{tv_sec,tv_nsec}"), "CTIME_PLAIN"),
        ),
    ),
    Feature(
        "elf_interpreter",
        "dynamic programs look static: their interpreter label is empty",
        (
            Layout(
                _members(
                    "task_struct.mm mm_struct.{saved_auxv,mm_mt} maple_tree.ma_root maple_range_64.{pivot,slot}"
                    " maple_arange_64.{pivot,slot} vm_area_struct.vm_file"
                ),
                "VMA_MAPLE_TREE",
            ),
            Layout(
                _members(
                    "task_struct.mm mm_struct.{saved_auxv,mm_rb} rb_root.rb_node rb_node.{rb_left,rb_right}"
                    " vm_area_struct.{vm_start,vm_end,vm_rb,vm_file}"
                ),
                "VMA_RB_TREE",
            ),
        ),
    ),
    Feature(
        "stdin",
        "stdin_type is unknown",
        (
            Layout(
                _members(
                    "task_struct.files files_struct.fdt fdtable.fd file.f_inode"
                    " inode.{i_mode,i_rdev,i_sb} super_block.s_magic"
                )
            ),
        ),
    ),
    Feature(
        "parent",
        "executions by the kernel itself are not told apart",
        (Layout(_members("task_struct.{real_parent,flags,tgid}")),),
    ),
    Feature(
        "arguments",
        "argv, env and their numbers and sizes are unknown",
        (Layout(_members("linux_binprm.{argc,envc} task_struct.mm mm_struct.{arg_start,arg_end,env_start,env_end}")),),
    ),
    Feature(
        "inode_facts",
        "the size and the link count of a program's file are unknown",
        (Layout(_members("inode.{i_size,i_nlink}")),),
    ),
    Feature(
        "start_time",
        "the start time of a process is unknown",
        (
            Layout(_members("task_struct.start_boottime"), "START_BOOTTIME"),
            Layout(_members("task_struct.real_start_time"), "REAL_START_TIME"),
        ),
    ),
    Feature(
        "script_hook",
        "scripts are named as they were invoked",
        (
            # 6.14: a5874fde3c08 ("exec: Add a new AT_EXECVE_CHECK flag to execveat(2)")
            Layout(_members("linux_binprm.{file,is_check} file.{f_inode,f_path}"), "EXECVE_CHECK"),
            Layout(_members("linux_binprm.file file.{f_inode,f_path}"), "EXECVE_ONLY"),
        ),
    ),
    Feature(
        "kprobe_argument",
        "neither scripts nor failed executions can be caught by a kprobe",
        (
            Layout(_members("pt_regs.{di,ax}"), "ARGUMENT_DI"),  # x86_64
            Layout(("pt_regs.regs",), "ARGUMENT_REGS"),  # arm64
        ),
    ),
    Feature(
        "processes",
        "forks, exits, lifetimes and running processes are unknown",
        (
            Layout(
                _members(
                    "task_struct.{pid,tgid,signal,group_leader,exit_code} signal_struct.{live,flags,group_exit_code}"
                )
            ),
        ),
    ),
    Feature(
        "backing_file",
        "before Linux 6.5 nothing; from there on the interpreter's path inside a container is that of its layer",
        (Layout(_members("backing_file.{file,user_path}")),),
    ),
    Feature(
        "overlay_backing",
        "every start of a container makes its programs look new",
        (
            Layout((*_OVERLAY, *_members("ovl_inode.oe ovl_entry.{__numlower,__lowerstack}")), "OVERLAY_ENTRY"),
            Layout((*_OVERLAY, "ovl_inode.lowerpath"), "OVERLAY_LOWERPATH"),
            Layout(_members("ovl_inode.{vfs_inode,__upperdentry,lower}"), "OVERLAY_LOWER"),
        ),
    ),
)


def kernel_types(btf: BTF, without: Collection[str] = ()) -> KernelTypes:
    """Declares what the features need that `btf` has, each member at its offset; none of those `without`.

    Raises BTFError.
    """
    missing: list[Feature] = []
    macros: list[str] = []
    wanted: dict[str, dict[str, None]] = {}
    for feature in FEATURES:
        layouts = () if feature.name in without else feature.layouts
        layout = next((layout for layout in layouts if _exists(btf, layout)), None)
        if layout is None:
            missing.append(feature)
            continue
        macros.append(f"HAVE_{feature.name.upper()}")
        if layout.macro:
            macros.append(layout.macro)
        for member in layout.members:
            struct_name, _, name = member.partition(".")
            wanted.setdefault(struct_name, {})[name] = None
    emitter = _Emitter(btf, wanted)
    lines = ["/* Made for the running kernel from its BTF. */", "#pragma once"]
    lines += [f"#define {macro} 1" for macro in macros]
    lines += [f"struct {name};" for name in wanted]
    lines.append(_type_ids(btf, (*wanted, *({"rb_node"} - wanted.keys()))))
    lines += emitter.declarations()
    return KernelTypes("\n".join(lines) + "\n", tuple(missing))


def _type_ids(btf: BTF, names: Collection[str]) -> str:
    """TYPE_ID(pointer): the id, in the kernel's BTF, of the struct that a pointer points to; 0 of what a module has."""
    ids = {name: btf.find(name) or 0 for name in names}
    known = ", ".join(f"struct {name} *: {number}" for name, number in ids.items() if number < btf.module_id)
    return f"#define TYPE_ID(pointer) _Generic((pointer), {known}, default: 0)"


def _exists(btf: BTF, layout: Layout) -> bool:
    return all(btf.member(*member.split(".", 1)) is not None for member in layout.members)


class _Emitter:
    """Declares structs, those that are embedded in others first."""

    def __init__(self, btf: BTF, wanted: dict[str, dict[str, None]]) -> None:
        self._btf = btf
        self._wanted = wanted
        self._declared: dict[str, list[str]] = {}

    def declarations(self) -> list[str]:
        for name in self._wanted:
            self._declare(name)
        return [line for lines in self._declared.values() for line in lines]

    def _declare(self, name: str) -> None:
        if name in self._declared:
            return
        body, checks = [], []
        for member_name in self._wanted[name]:
            member = self._btf.member(name, member_name)
            assert member is not None  # noqa: S101 - the feature was chosen because it exists
            padding = f"u8 _at_{member_name}[{member.offset}]; " if member.offset else ""
            declarator = f"u8 {member_name}" if member.mask else self._declarator(member.type_id, member_name)
            body.append(f"\t\tstruct {{ {padding}{declarator}; }};")
            if member.mask:  # the byte that the bits are in, and which they are
                checks.append(f"#define {name}_{member_name}_MASK {member.mask:#x}")
            checks.append(
                f'_Static_assert(__builtin_offsetof(struct {name}, {member_name}) == {member.offset}, "{name}");'
            )
        self._declared[name] = [f"struct {name} {{", "\tunion {", *body, "\t};", "};", *checks]

    def _declarator(self, type_id: int, name: str) -> str:
        """A declaration of `name` with the size and alignment of the type, as far as the probe has to know it."""
        kernel_type = self._btf.resolve(type_id)
        if kernel_type.kind == PTR:
            return self._pointer(kernel_type, name)
        if kernel_type.kind in (INT, ENUM, ENUM64) and kernel_type.size in SCALARS:
            return f"{SCALARS[kernel_type.size]} {name}"
        if kernel_type.kind == ARRAY:
            return f"{self._declarator(kernel_type.element, name)}[{kernel_type.count}]"
        if kernel_type.kind in (STRUCT, UNION) and kernel_type.name in self._wanted:
            self._declare(kernel_type.name)
            return f"struct {kernel_type.name} {name}"
        return f"u8 {name}[{kernel_type.size}]"

    def _pointer(self, pointer: Type, name: str) -> str:
        target = self._btf.resolve(pointer.element)
        if target.kind == STRUCT and target.name in self._wanted:
            return f"struct {target.name} *{name}"
        if target.kind == INT and target.size == 1:
            return f"const char *{name}"
        return f"void *{name}"
