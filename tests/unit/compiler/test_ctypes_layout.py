import ctypes
import struct

import pytest

from exporter.compiler.ctypes_layout import u64_reader


class Value(ctypes.Structure):
    _fields_ = [("b", ctypes.c_uint64), ("array", ctypes.c_uint64 * 3), ("a", ctypes.c_uint64)]


RAW = struct.pack("=5Q", 1, 2, 3, 4, 1 << 63)


def test_numbers_are_taken_from_where_the_layout_has_them():
    assert u64_reader(Value, "a", "array", "b")(RAW) == (1 << 63, 2, 3, 4, 1)


def test_one_number_comes_alone():
    assert u64_reader(Value, "a")(RAW) == 1 << 63


def test_a_member_that_is_not_there():
    with pytest.raises(LookupError, match="no member c"):
        u64_reader(Value, "a", "c")
