"""A placeholder becomes a call of the kernel's function; the rest of the program stays as it is."""

import pytest

from exporter.compiler.kernel_functions import CAST, ITERATOR, PLACEHOLDERS, macros, resolve
from exporter.kernel.instructions import INSTRUCTION

PLACEHOLDER = PLACEHOLDERS[CAST]
IDS = {name: 65486 + index for index, name in enumerate(PLACEHOLDERS)}
OTHER_CALL = INSTRUCTION.pack(0x85, 0, 0, 113)
CALL_OF_PLACEHOLDER = INSTRUCTION.pack(0x85, 0, 0, PLACEHOLDER)
CALL_OF_PROGRAM = INSTRUCTION.pack(0x85, 0x10, 0, PLACEHOLDER)
LOOKS_LIKE_ONE = INSTRUCTION.pack(0x18, 1, 0, 0x85) + CALL_OF_PLACEHOLDER
EXIT = INSTRUCTION.pack(0x95, 0, 0, 0)


@pytest.mark.parametrize("name", PLACEHOLDERS)
def test_a_placeholder_is_resolved(name):
    code = INSTRUCTION.pack(0x85, 0, 0, PLACEHOLDERS[name]) + EXIT
    assert resolve(code, IDS) == INSTRUCTION.pack(0x85, 0x20, 0, IDS[name]) + EXIT


def test_other_calls_stay():
    assert resolve(OTHER_CALL + CALL_OF_PROGRAM, IDS) == OTHER_CALL + CALL_OF_PROGRAM


def test_the_second_half_of_a_constant_stays():
    resolved = resolve(LOOKS_LIKE_ONE + CALL_OF_PLACEHOLDER, {CAST: 7})
    assert resolved == LOOKS_LIKE_ONE + INSTRUCTION.pack(0x85, 0x20, 0, 7)


def test_a_kernel_without_one_function_of_the_iterator_has_plain_loops():
    assert macros(IDS) == {"TYPED_LOADS": PLACEHOLDER, "ITERATOR": PLACEHOLDERS[ITERATOR[0]]}
    for missing in ITERATOR:
        assert macros(IDS.keys() - {missing}) == {"TYPED_LOADS": PLACEHOLDER}


def test_the_numbers_of_the_iterator_are_those_of_the_c_code():
    first = PLACEHOLDERS[ITERATOR[0]]
    assert [PLACEHOLDERS[name] for name in ITERATOR] == [first, first + 1, first + 2]
