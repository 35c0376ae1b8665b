"""Layouts for tests of the decoder. They are not the probe's: the decoder has to follow whatever it is given."""

import ctypes

from exporter.decode import Layouts


class Key(ctypes.Structure):
    _fields_ = [("flags", ctypes.c_uint32), ("file", ctypes.c_uint8 * 20), ("stdin_type", ctypes.c_uint32)]


class Value(ctypes.Structure):
    _fields_ = [("introduced", ctypes.c_uint64), ("executions", ctypes.c_uint64)]


class Introduction(ctypes.Structure):
    _fields_ = [
        ("key", Key),
        ("truncated", ctypes.c_uint32),
        ("text_bytes", ctypes.c_uint32),
        ("text_size", ctypes.c_uint32 * 5),
        ("text", ctypes.c_char * 4096),
    ]


LAYOUTS = Layouts(Key, Value, Introduction)


def key(stdin_type=0, flags=0, file=1):
    return bytes(Key(flags, (ctypes.c_uint8 * 20)(file), stdin_type))


def record(raw_key, texts=(b"", b"", b"", b"", b""), truncated=0):
    """`texts` in the order of enum text, as the probe writes them."""
    header = Introduction(Key.from_buffer_copy(raw_key), truncated, sum(map(len, texts)))
    header.text_size[:] = [len(text) for text in texts]
    return bytes(header)[: Introduction.text.offset] + b"".join(texts)
