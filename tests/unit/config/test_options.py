import argparse
from dataclasses import dataclass, field

from exporter.config.argument_types import number
from exporter.config.options import add_flag, add_flags, flag, options_of
from exporter.config.resolve import Formatter, resolve


@dataclass(frozen=True)
class Options:
    size: int = flag("--map.max-size", "maximum size", 8, type=number(1, 10))
    addresses: tuple[str, ...] = flag("--address", "address (default none)", ("a",), action="append")
    on: bool = flag("--on", "on or off", True)
    file: str | None = flag("--file", "a file")
    rules: str = field(default="no flag")


def parsed(*arguments, kind=Options, parser=None, **others):
    if parser is None:
        parser = argparse.ArgumentParser(prog="test", formatter_class=Formatter)
        add_flags(parser, "title", kind)
    return options_of(kind, resolve(parser, list(arguments), {})[0], **others)


def test_without_arguments_all_have_their_defaults():
    assert parsed() == Options() == Options(8, ("a",), True, None, "no flag")


def test_each_flag_sets_its_field_and_other_fields_come_from_the_caller():
    found = parsed("--map.max-size=3", "--address=b", "--address=c", "--no-on", "--file=f", rules="given")
    assert found == Options(3, ("b", "c"), False, "f", "given")


def test_help_has_the_default_once():
    parser = argparse.ArgumentParser(prog="test", formatter_class=Formatter)
    add_flags(parser, "title", Options)
    shown = " ".join(parser.format_help().split())
    assert "maximum size (default 8) [TEST_MAP_MAX_SIZE]" in shown
    assert "on or off (default on) [TEST_ON]" in shown
    assert "address (default none) [TEST_ADDRESS]" in shown
    assert "a file [TEST_FILE]" in shown


def test_a_command_takes_single_flags_and_may_change_them():
    parser = argparse.ArgumentParser(prog="test")
    add_flag(parser, Options, "size", default=5)
    assert parsed(parser=parser) == Options(size=5)
    assert parsed("--map.max-size=7", parser=parser) == Options(size=7)
