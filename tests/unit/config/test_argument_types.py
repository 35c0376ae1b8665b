import argparse
from pathlib import Path

import pytest

from exporter.config.argument_types import (
    Parser,
    absolute,
    absolute_file,
    boolean,
    duration,
    number,
    optional_file,
    power_of_two,
    root_directory,
)
from exporter.errors import ExporterError


@pytest.mark.parametrize(
    ("parse", "good", "bad"),
    [
        (number(1, 10), {"1": 1, "10": 10}, {"0": "1 to 10", "11": "1 to 10", "x": "1 to 10", "-1": "1 to 10"}),
        (power_of_two(8), {"1": 1, "8": 8}, {"6": "not a power of two", "16": "1 to 8"}),
        (duration(2), {"0": 0, "90s": 90, "1h30m": 5400, "2d": 172_800}, {"3d": "longer than 2d", "soon": "such as"}),
        (boolean, {"true": True, "FALSE": False, "1": True, "0": False}, {"yes": "neither true nor false"}),
        (absolute, {"": "", "/x/": "/x/"}, {"x": "start it with /"}),
        (absolute_file, {"": "", "/x": "/x"}, {"/x/": "is a directory", "x": "start it with /"}),
        (root_directory, {"": "/", "/host": "/host"}, {"host": "start it with /"}),
        (optional_file, {"": None, "x": Path("x")}, {}),
    ],
    ids=["number", "power of two", "duration", "boolean", "absolute", "absolute file", "root", "file"],
)
def test_types_accept_and_refuse(parse, good, bad):
    assert {text: parse(text) for text in good} == good
    for text, words in bad.items():
        with pytest.raises(argparse.ArgumentTypeError, match=words):
            parse(text)


def test_a_parser_raises_one_line_with_the_command_to_read():
    parser = Parser(prog="exec_exporter trace")
    parser.add_argument("--pid", type=number(1, 5))
    with pytest.raises(ExporterError) as refused:
        parser.parse_args(["--pid=9"])
    assert str(refused.value) == "argument --pid: '9' is not a number from 1 to 5: see exec_exporter trace --help"
    assert refused.value.status == 2
