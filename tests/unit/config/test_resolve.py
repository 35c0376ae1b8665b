"""Every flag can be set on the command line, in the environment and in the file, in this order of precedence."""

import re
from dataclasses import replace

import pytest

from exporter.collectors.flags import ALWAYS, SWITCHES
from exporter.commands import trace
from exporter.config.resolve import flags, repeatable, variable
from exporter.errors import ExporterError
from exporter.service import options as service
from exporter.service.config_file import COMMAND_LINE_ONLY

SERVICE = flags(service.parser())
IN_FILE = {name: action for name, action in SERVICE.items() if name not in COMMAND_LINE_ONLY}


CANDIDATES = ["/tmp/any.prom", "127.0.0.1:1", "true", "false", "debug", "json", "64", "90s", "4096", "1048576", "names"]
SAME_AS_DEFAULT = [f"collector.{name}" for name in ALWAYS]


def parse(arguments=(), environment=None):
    return service.parse(list(arguments), environment or {})


def comparable(options):
    return replace(
        options,
        service=replace(options.service, config_file=None),
        series=replace(options.series, path_rules=None),
    )


def spelt(name, text):
    if SERVICE[name].nargs != 0:
        return f"--{name}={text}"
    return {"true": f"--{name}", "false": f"--no-{name}"}[text]


def accepted(name, text):
    """Return the options with this text, None if the flag refuses it."""
    try:
        return comparable(parse([spelt(name, text)]))
    except (ExporterError, KeyError):
        return None


def another(name):
    """Return a text that changes the flag, and the options with it."""
    if name in SAME_AS_DEFAULT:
        return "true", comparable(parse())
    for text in CANDIDATES:
        if (options := accepted(name, text)) is not None and options != comparable(parse()):
            return text, options
    pytest.fail(f"none of CANDIDATES changes --{name}: add a value that does")


def file(directory, text):
    path = directory / "exec_exporter.yml"
    path.write_text(text)
    return f"--config.file={path}"


def test_help_shows_the_variable_of_every_flag():
    for parser in (service.parser(), trace.parser()):
        shown = re.sub(r"\s+", " ", parser.format_help())
        named = set(re.findall(r"^ +(?:-h, )?--([a-z.-]+)", parser.format_help(), re.MULTILINE)) - {"help", "version"}
        assert named == set(flags(parser))
        for flag in named:
            assert f"[{variable(parser.prog, flag)}]" in shown


def test_only_flags_for_the_command_line_are_refused_in_a_file():
    assert set(SERVICE) - set(IN_FILE) == {"check", "once", "config.file", "config.check"}


@pytest.mark.parametrize("name", [name for name in SERVICE if name != "config.file"])
def test_every_flag_has_an_equivalent_variable(name):
    origin = variable("exec_exporter", name)
    text, options = another(name)
    assert comparable(parse([], {origin: text})) == options
    if accepted(name, "nonsense") is None:
        with pytest.raises(ExporterError, match=rf"^{origin}\b") as refused:
            parse([], {origin: "nonsense"})
        assert refused.value.status == 2


@pytest.mark.parametrize("name", IN_FILE)
@pytest.mark.parametrize("nested", [True, False])
def test_every_flag_has_an_equivalent_key(tmp_path, name, nested):
    def written(value):
        value = f'["{value}"]' if repeatable(IN_FILE[name]) else value
        *sections, key = name.split(".") if nested else [name]
        return "".join(f"{section}: {{" for section in sections) + f"{key}: {value}" + "}" * len(sections)

    text, options = another(name)
    assert comparable(parse([file(tmp_path, written(text))])) == options
    if accepted(name, "nonsense") is None:
        with pytest.raises(ExporterError, match=rf"exec_exporter.yml:1: {re.escape(name)}\b") as refused:
            parse([file(tmp_path, written("nonsense"))])
        assert refused.value.status == 2


def test_a_flag_goes_before_the_environment_that_before_the_file_and_that_before_the_default(tmp_path):
    path = file(tmp_path, "bpf.map-entries: 1\nbpf.ring-buffer-pages: 1\nseries.limit: 1\n")
    environment = {"EXEC_EXPORTER_BPF_MAP_ENTRIES": "2", "EXEC_EXPORTER_BPF_RING_BUFFER_PAGES": "2"}
    options = parse([path, "--bpf.map-entries=4"], environment)
    found = options.probe.map_entries, options.probe.ring_buffer_pages, options.series.limit, options.web.max_requests
    assert found == (4, 2, 1, 40)


def test_a_list_replaces_that_of_a_lower_rank(tmp_path):
    path, environment = (
        file(tmp_path, "web: {listen-address: [':1', ':2']}"),
        {
            "EXEC_EXPORTER_WEB_LISTEN_ADDRESS": ":3, :4",
        },
    )
    assert parse([path]).web.listen_addresses == (":1", ":2")
    assert parse([path], environment).web.listen_addresses == (":3", ":4")
    assert parse([path, "--web.listen-address=:5", "--web.listen-address=:6"], environment).web.listen_addresses == (
        ":5",
        ":6",
    )


def test_a_switch_of_a_lower_rank_can_be_turned_off(tmp_path):
    path = file(tmp_path, "collector: {preload: true, forks: false}")
    assert parse([path]).collectors == set(SWITCHES) - {"forks"}
    assert parse([path, "--no-collector.preload", "--collector.forks"]).collectors == set(SWITCHES) - {"preload"}
    assert parse([path], {"EXEC_EXPORTER_COLLECTOR_PRELOAD": "0"}).collectors == set(SWITCHES) - {"preload", "forks"}


def test_series_are_bounded_by_default():
    assert (parse().series.limit, parse().series.idle_seconds) == (4000, 24 * 3600)
    assert parse(["--series.idle=0"]).series.idle_seconds == 0


def test_all_collectors_but_preload_are_on():
    assert parse().collectors == set(SWITCHES) - {"preload"}


def test_the_file_can_be_named_by_its_variable(tmp_path):
    file(tmp_path, "series.limit: 7")
    assert parse([], {"EXEC_EXPORTER_CONFIG_FILE": str(tmp_path / "exec_exporter.yml")}).series.limit == 7
    with pytest.raises(ExporterError, match=r"^EXEC_EXPORTER_CONFIG_FILE=/no/such: No such file"):
        parse([], {"EXEC_EXPORTER_CONFIG_FILE": "/no/such"})


def test_empty_variables_are_ignored():
    assert parse([], {"EXEC_EXPORTER_SERIES_LIMIT": ""}).series.limit == 4000


def test_variables_that_kubernetes_sets_for_a_service_of_this_name_are_ignored():
    parse([], {"EXEC_EXPORTER_PORT": "tcp://10.0.0.1:10042", "EXEC_EXPORTER_SERVICE_HOST": "10.0.0.1"})


@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [
        (["--no-collector.executions"], {}, "--collector.executions: the collector executions cannot be disabled"),
        ([], {"EXEC_EXPORTER_COLLECTOR_PROBE": "false"}, "EXEC_EXPORTER_COLLECTOR_PROBE: the collector probe cannot"),
        (
            ["--web.systemd-socket"],
            {"EXEC_EXPORTER_WEB_LISTEN_ADDRESS": ":1"},
            "--web.systemd-socket and EXEC_EXPORTER_WEB_LISTEN_ADDRESS are both given",
        ),
        ([], {"EXEC_EXPORTER_WEB_LISTEN_ADDRESS": ":1,x"}, "EXEC_EXPORTER_WEB_LISTEN_ADDRESS=x is not an address"),
        ([], {"EXEC_EXPORTER_TEXTFILE": "/tmp/x"}, "EXEC_EXPORTER_TEXTFILE=/tmp/x does not end in .prom"),
        (["--series.idle=soon"], {}, "'soon' is not a duration such as 90s"),
        (["--series.idle=99999999d"], {}, "longer than 3650d"),
        (["--series.limit=0"], {}, "not a number from 1 to"),
    ],
)
def test_errors_name_the_origin_of_the_value(arguments, environment, words):
    with pytest.raises(ExporterError) as refused:
        parse(arguments, environment)
    assert words in str(refused.value)
    assert refused.value.status == 2


def test_trace_has_its_own_variables():
    with pytest.raises(ExporterError, match=r"^EXEC_EXPORTER_TRACE_FORMAT: 'xml' is none of json, text"):
        trace.parse([], {"EXEC_EXPORTER_TRACE_FORMAT": "xml"})
    environment = {"EXEC_EXPORTER_BPF_RING_BUFFER_PAGES": "1", "EXEC_EXPORTER_TRACE_COUNT": "5"}
    options = trace.parse(["--pid=3"], environment)
    assert (options.count, options.pid, options.probe.ring_buffer_pages) == (5, 3, 2048)
