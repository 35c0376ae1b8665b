"""Layouts for tests of the decoder. They differ from the probe's: the decoder must follow any layout."""

import ctypes

from exporter.probe.exec_header import Layouts


class Identity(ctypes.Structure):
    _fields_ = [
        ("inode", ctypes.c_uint64),
        ("ctime", ctypes.c_int64),
        ("path_hash", ctypes.c_uint64),
        ("generation", ctypes.c_uint32),
        ("dev", ctypes.c_uint32),
    ]


class ExecKey(ctypes.Structure):
    _fields_ = [
        ("flags", ctypes.c_uint32),
        ("file", Identity),
        ("interpreter", Identity),
        ("stdin_type", ctypes.c_uint32),
    ]


class File(ctypes.Structure):
    _fields_ = [
        *[(name, ctypes.c_uint64) for name in ("size", "inode", "backing_inode")],
        ("ctime", ctypes.c_int64),
        *[(name, ctypes.c_uint32) for name in ("mode", "dev", "backing_dev", "generation", "links", "padding")],
        ("origin_inode", ctypes.c_uint64),
        ("origin_ctime", ctypes.c_int64),
        *[(name, ctypes.c_uint32) for name in ("origin_dev", "origin_generation")],
    ]


class Introduction(ctypes.Structure):
    _fields_ = [
        ("interpreter", File),
        ("script", File),
        ("program", File),
        *[
            (name, ctypes.c_uint64)
            for name in ("cgroup", "stdin_inode", "start_time", "time", "env_bytes", "argv_bytes")
        ],
        *[(name, ctypes.c_uint32) for name in ("uid", "gid", "pid", "ppid", "envc", "argc", "unreadable", "truncated")],
        ("comm", ctypes.c_char * 16),
        ("key", ExecKey),
        ("text_bytes", ctypes.c_uint32),
        ("path_flags", ctypes.c_uint32 * 5),
        ("text_size", ctypes.c_uint32 * 10),
        ("scopes", ctypes.c_uint64 * 5),
        ("text", ctypes.c_char * 4096),
    ]


LAYOUTS = Layouts(ExecKey, Introduction)


def key(stdin_type=0, flags=0, file=1, **identity):
    return bytes(ExecKey(flags, Identity(inode=file, **identity), stdin_type=stdin_type))


PATHS = ("pathname", "interpreter_pathname", "cwd", "stdin_path", "script_path")
TEXTS = (*PATHS, "origin_path", "cmdpath", "interp", "argv", "env")
PRESENT = 1


def record(raw_key, path_flags=(), truncated=0, numbers=(), scopes=(), **texts):
    """`texts` are written in the order of enum text, as the probe writes them; paths leaf first."""
    header = Introduction(key=ExecKey.from_buffer_copy(raw_key), truncated=truncated, **dict(numbers))
    header.text_size[:] = [len(texts.get(name, b"")) for name in TEXTS]
    header.text_bytes = sum(header.text_size)
    flags, scopes = dict(path_flags), dict(scopes)
    header.scopes[:] = [scopes.get(name, 0) for name in PATHS]
    header.path_flags[:] = [flags.get(name, PRESENT if name in texts else 0) for name in PATHS]
    return bytes(header)[: Introduction.text.offset] + b"".join(texts.get(name, b"") for name in TEXTS)
