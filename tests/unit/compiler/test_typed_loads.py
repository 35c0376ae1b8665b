"""A placeholder becomes a call of the kernel's function; the rest of the program stays as it is."""

from exporter.compiler.typed_loads import PLACEHOLDER, resolve
from exporter.kernel.instructions import INSTRUCTION

OTHER_CALL = INSTRUCTION.pack(0x85, 0, 0, 113)
CALL_OF_PLACEHOLDER = INSTRUCTION.pack(0x85, 0, 0, PLACEHOLDER)
CALL_OF_PROGRAM = INSTRUCTION.pack(0x85, 0x10, 0, PLACEHOLDER)
LOOKS_LIKE_ONE = INSTRUCTION.pack(0x18, 1, 0, 0x85) + CALL_OF_PLACEHOLDER
EXIT = INSTRUCTION.pack(0x95, 0, 0, 0)


def test_a_placeholder_is_resolved():
    assert resolve(CALL_OF_PLACEHOLDER + EXIT, 65486) == INSTRUCTION.pack(0x85, 0x20, 0, 65486) + EXIT


def test_other_calls_stay():
    assert resolve(OTHER_CALL + CALL_OF_PROGRAM, 65486) == OTHER_CALL + CALL_OF_PROGRAM


def test_the_second_half_of_a_constant_stays():
    resolved = resolve(LOOKS_LIKE_ONE + CALL_OF_PLACEHOLDER, 7)
    assert resolved == LOOKS_LIKE_ONE + INSTRUCTION.pack(0x85, 0x20, 0, 7)
