"""Errors in a --config.file are one line with the file, the line, the key and the remedy."""

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import ExporterError
from exporter.events.labels import Labels
from exporter.metrics.path_presets import PRESETS
from exporter.service.options import parse
from tests import readable


def read(directory, text):
    path = directory / "exec_exporter.yml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    return parse([f"--config.file={path}"], {})


BOMB = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10))
MERGES = "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 10))
BAD = {
    "unknown": ("\nbpf: {map-entrys: 3}", 2, "unknown key 'bpf.map-entrys': did you mean bpf.map-entries?"),
    "unknown, at the wrong place": ("map-entries: 3", 1, "unknown key 'map-entries': did you mean bpf.map-entries?"),
    "unknown, like nothing": ("xyzzy: 3", 1, "unknown key 'xyzzy': correct it"),
    "unknown, of two lines": ('"a\\nb": 3', 1, r"unknown key 'a\nb'"),
    "unknown in a rule": ("paths: {rules: [{match: a, replace: b, to: c}]}", 1, "unknown key 'paths.rules[0].to'"),
    "a key of several values": ("? [a, b]\n: c", 1, "unknown key '?'"),
    "not a number": ("bpf:\n  map-entries: many\n", 2, "bpf.map-entries: 'many' is not a number from 1 to 16777216"),
    "a list for one value": ("log.level: [info]", 1, "log.level is a list or a mapping: give one value"),
    "a mapping for one value": ("log: {level: {info: 1}}", 1, "log.level is a list or a mapping: give one value"),
    "a list of lists": ("web: {listen-address: [[a]]}", 1, "web.listen-address[0] is a list or a mapping"),
    "a value for a section": ("web:\n  3", 2, "web is not a mapping of keys to values"),
    "a list for the file": ("- a", 1, "it is not a mapping of keys to values"),
    "no value": ("log:\n  level:\n", 2, "log.level has no value: give one or remove the line"),
    "yes for true": ("web: {systemd-socket: yes}", 1, "web.systemd-socket: 'yes' is neither true nor false"),
    "none of the choices": ("log.level: loud", 1, "log.level: 'loud' is none of debug, info, warn, error"),
    "a Python object": ("log.level: !!python/name:os.getcwd x", 1, "log.level is not a plain value"),
    "two lines": ('web.telemetry-path: "/a\\nb"', 1, "web.telemetry-path has an unprintable character"),
    "a wrong address": ("web: {listen-address: [':1',\n ':x']}", 1, "web.listen-address=:x is not an address"),
    "no duration": ("series.idle: 5", 1, "series.idle: '5' is not a duration such as 90s"),
    "twice": ("log.level: info\nlog.level: info", 2, "'log.level' is given twice, first in line 1"),
    "twice, once nested": ("log.level: info\nlog:\n  level: info", 3, "log.level is given twice, first in line 1"),
    "a flag for the command line": ("check: true", 1, "check cannot be set in a file: give --check as a flag"),
    "itself": ("config: {file: x}", 1, "unknown key 'config'"),
    "itself, dotted": ("config.file: x", 1, "config.file cannot be set in a file"),
    "not YAML": ("a: [", 1, "it is not YAML: expected the node content"),
    "a tab": ("web:\n\tlisten-address: x", 2, "that cannot start any token: indent with spaces, not with tabs"),
    "two documents": ("log.level: info\n---\nlog.level: info", 2, "but found another document"),
    "a control character": (b"log.level: info\n# \x07", 2, "special characters are not allowed"),
    "not UTF-8": (b"log.level: info\n# \xff", 2, "it is not UTF-8"),
    "an alias of itself": ("paths: &a {rules: [*a]}", 1, "an alias refers to a node that contains it"),
    "an alias of nothing": ("log.level: *a", 1, "found undefined alias"),
    "aliases without end": (BOMB, 6, "it expands to more than 50000 values"),
    "merges without end": (MERGES, 6, "it expands to more than 50000 values"),
    "a merge": ("<<: {log.level: info}", 1, "unknown key '<<'"),
    "no regex": (
        "paths:\n  rules:\n  - match: '('\n    replace: ''",
        3,
        "paths.rules[0]: '(' is not an RE2 expression",
    ),
    "a lookahead": (
        "paths: {rules: [{match: '(?=a)', replace: b}]}",
        1,
        "is not an RE2 expression: invalid perl operator",
    ),
    "a bomb of a regex": ("paths: {rules: [{match: '((a{99}){99}){99}', replace: b}]}", 1, "is not an RE2 expression"),
    "a group too many": (
        "paths: {rules: [{match: (a), replace: $2}]}",
        1,
        "refers to the group 2, which '(a)' does not",
    ),
    "a name too many": (
        "paths: {rules: [{match: a, replace: '${b}'}]}",
        1,
        "refers to the group b, which 'a' does not",
    ),
    "a lone dollar": ("paths: {rules: [{match: a, replace: $}]}", 1, "'$' contains a $ that is not a group"),
    "a rule too long": (f"paths: {{rules: [{{match: a, replace: {'b' * 2000}}}]}}", 1, "longer than 1024 characters"),
    "half a rule": ("paths: {rules: [{match: a}]}", 1, "paths.rules[0].replace is missing"),
    "no rule": ("paths: {rules: [a]}", 1, "paths.rules[0] is not a mapping of keys to values"),
    "no preset": ("paths: {presets: [nix, snap]}", 1, "paths.presets[1]: 'snap' is none of nix, containers, build"),
    "no glob": ("paths: {include: [{a: b}]}", 1, "paths.include[0] is a list or a mapping: give one value"),
    "switched off": ("collector:\n  executions: false", 2, "the collector executions cannot be disabled"),
}


@pytest.mark.parametrize(("text", "line", "words"), BAD.values(), ids=BAD)
def test_errors_are_one_line_with_place_and_remedy(tmp_path, text, line, words):
    with pytest.raises(ExporterError) as refused:
        read(tmp_path, text)
    said = str(refused.value)
    assert words in said
    assert said.startswith(f"{tmp_path}/exec_exporter.yml:{line}: ")
    assert "\n" not in said
    assert refused.value.status == 2


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/no/such.yml", "No such file or directory"),
        ("/", "Is a directory"),
        ("/dev/zero", "longer than 1048576 bytes"),
    ],
)
def test_unreadable_files_are_refused(path, words):
    with pytest.raises(ExporterError, match=f"^--config.file={path}: .*{words}: correct it") as refused:
        parse([f"--config.file={path}"], {})
    assert refused.value.status == 2


def test_a_pipe_is_read_to_its_end_and_refused_if_nobody_writes(tmp_path, monkeypatch):
    reading, writing = os.pipe()
    os.write(writing, b"log.level: debug")
    monkeypatch.setattr("exporter.config.yaml_file.PIPE_SECONDS", 0.1)
    with pytest.raises(ExporterError, match="not written and closed"):
        parse([f"--config.file=/proc/self/fd/{reading}"], {})
    os.write(writing, b"log.level: debug")
    os.close(writing)
    assert parse([f"--config.file=/proc/self/fd/{reading}"], {}).service.log_level == "debug"
    os.close(reading)
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(ExporterError, match="not written and closed"):
        parse([f"--config.file={tmp_path}/fifo"], {})


def test_the_name_of_a_file_adds_no_line_to_an_error():
    process = subprocess.run(
        [sys.executable, "-m", "exporter", "--config.check", "--config.file=/no\n\x1b[31m.yml"],
        capture_output=True,
        text=True,
    )
    assert (process.returncode, process.stderr.count("\n")) == (2, 1)
    assert "--config.file=/no\\x0a\\x1b[31m.yml: No such file or directory" in process.stderr


def test_deep_nesting_is_refused(tmp_path):
    with pytest.raises(ExporterError, match="nested too deeply"):
        read(tmp_path, "[" * 100_000)


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "web:\n", "paths:\n", "\ufefflog: {level: info}\n"])
def test_empty_files_and_sections_change_nothing(tmp_path, text):
    found, default = read(tmp_path, text), parse([], {})
    assert not found.series.path_rules
    assert replace(found, service=default.service, series=default.series) == default
    assert replace(found.service, config_file=None) == default.service
    assert replace(found.series, path_rules=default.series.path_rules) == default.series


def test_file_names_are_relative_to_the_configuration_file(tmp_path):
    options = read(tmp_path, "web: {config: {file: web.yml}}\ntextfile: exec.prom\ntextfile.interval: 20\n")
    assert (options.web.config_file, options.output.textfile) == (tmp_path / "web.yml", tmp_path / "exec.prom")
    assert options.output.interval_seconds == 20
    assert read(tmp_path, "web.config.file: ''").web.config_file is None
    assert read(tmp_path, "textfile: /tmp/exec.prom").output.textfile.parts == ("/", "tmp", "exec.prom")


def test_presets_go_before_rules_and_these_in_their_order(tmp_path):
    rules = read(
        tmp_path,
        """
paths:
  presets: [nix]
  rules:
  - {match: "^/nix/store/([a-z]+)-[0-9.]+/", replace: "/nix/$1/"}
  - {match: "^/nix/(?P<name>[a-z]+)/bin/", replace: "/nix/${name}/$$/"}
  exclude: ["/nix/zsh/*"]
""",
    ).series.path_rules
    store = "/nix/store/0c1n2y9vzaklw3vx4dkg9mb7hm3l3wzc"
    assert rules.apply(Labels(f"{store}-bash-5.2/bin/bash", "", "tty")).path == "/nix/bash/$/bash"
    assert rules.apply(Labels(f"{store}-zsh-5.9/bin/zsh", "/ld", "tty")) == ("other", "other", "tty")


def test_a_single_value_needs_no_list(tmp_path):
    rules = read(tmp_path, "paths: {presets: build, include: /a/*}\nweb.listen-address: ':1'").series.path_rules
    assert rules.apply(Labels("/b", "", "tty")).path == "other"


def log_of(directory, text):
    try:
        read(directory, text)
    except ExporterError as refused:
        return str(refused)
    return ""


KEYS = st.sampled_from("web paths log level rules presets include match replace listen-address".split())  # noqa: SIM905
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.dates() | st.text(max_size=5),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(KEYS, values, max_size=3),
    max_leaves=8,
)


@given(st.binary(max_size=200) | st.text(max_size=200) | st.dictionaries(KEYS, VALUES).map(yaml.safe_dump))
def test_errors_of_any_file_are_one_line(tmp_path_factory, content):
    assert "\n" not in log_of(tmp_path_factory.getbasetemp(), content)


def config_check(*arguments, **environment):
    """Run the command without privileges."""
    command = [*readable.command(), "--config.check", *arguments]
    if os.geteuid() == 0:
        command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", *command]
    result = subprocess.run(
        command, capture_output=True, text=True, timeout=240, check=False, env={**os.environ, **environment}
    )
    return result.returncode, result.stdout, result.stderr


@pytest.fixture
def readable_directory():
    """Return a directory that any user can read."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


def test_config_check_needs_no_privilege_and_prints_one_line(readable_directory):
    web, file = readable_directory / "web.yml", readable_directory / "exec_exporter.yml"
    web.write_text("rate_limit: {burst: 1, interval: 1s}")
    file.write_text("web.config.file: web.yml")
    status, said, wrong = config_check(f"--config.file={file}")
    assert (status, wrong) == (0, "")
    assert said == f"the configuration is valid: flags, environment, {file}, {web}\n"
    web.write_text("rate_limit: {burst: 1, interval: soon}")
    status, said, wrong = config_check(EXEC_EXPORTER_CONFIG_FILE=str(file))
    assert (status, said) == (2, "")
    assert re.fullmatch(r"exec_exporter: --web.config.file=.*web.yml: 'soon' is not a duration: .*\n", wrong)
    file.write_text("web.config.fil: web.yml")
    status, said, wrong = config_check(f"--config.file={file}")
    assert (status, said) == (2, "")
    assert wrong == f"exec_exporter: {file}:1: unknown key 'web.config.fil': did you mean web.config.file?\n"


def test_config_check_reads_the_file_of_accepted_findings(readable_directory):
    accepted = readable_directory / "accepted.yml"
    accepted.write_text("accepted:\n  - {path: /opt/*, reason: builds}\n")
    status, said, wrong = config_check(f"--findings.accepted-file={accepted}")
    assert (status, said, wrong) == (0, f"the configuration is valid: flags, environment, {accepted}\n", "")
    accepted.write_text("accepted:\n  - {path: /opt/*, reason: builds}\n  - {path: /usr/*}\n")
    status, said, wrong = config_check(f"--findings.accepted-file={accepted}")
    assert (status, said) == (2, "")
    assert wrong == f"exec_exporter: {accepted}:3: an entry has no reason: write down why it is accepted\n"
    accepted.unlink()
    status, said, wrong = config_check(EXEC_EXPORTER_FINDINGS_ACCEPTED_FILE=str(accepted))
    assert (status, said) == (2, "")
    assert wrong.startswith(f"exec_exporter: --findings.accepted-file={accepted}: ")
    assert wrong.count("\n") == 1


def test_every_preset_consists_of_valid_rules(tmp_path):
    assert read(tmp_path, f"paths: {{presets: [{', '.join(PRESETS)}]}}").series.path_rules
