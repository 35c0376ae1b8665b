from exporter.kernel.instructions import INSTRUCTION, WIDE, instructions

MOVE, EXIT = (0xB7, 0, 0, 7), (0x95, 0, 0, 0)


def test_a_wide_instruction_takes_the_space_of_two():
    wide = (WIDE, 1 << 4 | 2, 0, 5)
    code = b"".join(INSTRUCTION.pack(*parts) for parts in (MOVE, wide, (0x95, 0, 0, 1), EXIT))
    assert list(instructions(code)) == [(0, MOVE), (8, wide), (24, EXIT)]
