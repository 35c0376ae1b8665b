from exporter.event import LOSS_CAUSES, STDIN_TYPES, parse_enums


def test_enums_are_read_with_and_without_numbers():
    header = "enum a {\n\tA_ONE, /* not, this */\n\tA_FIVE = 5,\n\tA_SIX,\n};\nenum b { B_HEX = 0x10 };"
    assert parse_enums(header) == {"a": {"A_ONE": 0, "A_FIVE": 5, "A_SIX": 6}, "b": {"B_HEX": 16}}


def test_stdin_types_are_those_of_the_design():
    assert set(STDIN_TYPES.values()) == {
        "file", "directory", "pipe", "socket", "tty", "null", "chardev", "blockdev", "anon", "closed", "unknown",
    }  # fmt: skip


def test_loss_causes_are_named():
    assert set(LOSS_CAUSES) == {"map_full", "no_memory", "map_busy"}
