from exporter.probe.exec_header import HISTOGRAMS, LOSS_CAUSES, STDIN_TYPES, bounds, parse_bounds, parse_enums


def test_enums_are_read_with_and_without_numbers():
    header = "enum a {\n\tA_ONE, /* not, this */\n\tA_FIVE = 5,\n\tA_SIX,\n};\nenum b { B_HEX = 0x10 };"
    assert parse_enums(header) == {"a": {"A_ONE": 0, "A_FIVE": 5, "A_SIX": 6}, "b": {"B_HEX": 16}}


def test_stdin_types_are_those_of_the_design():
    assert set(STDIN_TYPES.values()) == {
        "file", "directory", "pipe", "socket", "tty", "null", "chardev", "blockdev", "anon", "closed", "unknown",
    }  # fmt: skip


def test_loss_causes_are_named():
    assert set(LOSS_CAUSES) == {"map_full", "no_memory", "map_busy", "preempted"}


def test_bounds_are_read_over_several_lines():
    header = (
        "#define SIZE_BOUNDS(X) X(1) X(64) \\\n\tX(4096)\n/* #define B_BOUNDS(X) X(1) */\n#define AGE_BOUNDS(X) X(5)\n"
    )
    assert parse_bounds(header) == {"size": (1, 64, 4096), "age": (5,)}


def test_each_histogram_has_bounds_that_rise_and_fit_its_buckets():
    for name in (*HISTOGRAMS, "lifetime"):
        assert list(bounds(name)) == sorted(set(bounds(name)))
        assert len(bounds(name)) < (12 if name != "lifetime" else 11)
