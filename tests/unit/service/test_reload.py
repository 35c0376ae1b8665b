from pathlib import Path
from types import SimpleNamespace

import pytest

from exporter.catalogue.accepted_file import AcceptedFile
from exporter.events.labels import Labels
from exporter.service.options import parse
from exporter.service.reload import Reload, changed

LINE = "reload failed, the last good configuration stays in force: "


@pytest.fixture
def files(tmp_path):
    """The configuration file, the accepted file, and a function that returns a Reload and what it configured."""
    config, accepted = tmp_path / "config.yml", tmp_path / "accepted.yml"
    config.write_text("series.limit: 100\n")
    accepted.write_text("accepted: []\n")

    def reloading(*arguments):
        configured = []
        options = parse([f"--config.file={config}", f"--findings.accepted-file={accepted}", *arguments])
        pipeline = SimpleNamespace(reconfigure=configured.append)
        return Reload(options, pipeline, [AcceptedFile(Path(accepted))]), configured

    return config, accepted, reloading


def test_what_the_file_says_now_is_put_into_force(files):
    config, _, reloading = files
    reload, configured = reloading()
    config.write_text("series: {limit: 200, idle: 1h}\npaths: {exclude: ['/tmp/*']}\n")
    assert reload() == ""
    assert (configured[0].limit, configured[0].idle_seconds) == (200, 3600)
    assert configured[0].path_rules.apply(Labels("/tmp/x", "", "file")).path == "other"
    assert reload.successful


def test_flags_stay_stronger_than_the_file(files):
    config, _, reloading = files
    reload, configured = reloading("--series.limit=7")
    config.write_text("series.limit: 200\n")
    assert reload() == ""
    assert configured[0].limit == 7


def test_what_only_a_restart_changes_is_named_in_one_line(files, caplog):
    caplog.set_level("INFO")
    config, _, reloading = files
    reload, _ = reloading()
    config.write_text("series.limit: 200\nbpf.map-entries: 20000\nweb.max-requests: 7\ncollector.forks: false\n")
    assert reload() == ""
    flags = "--collector.forks, --web.max-requests, --bpf.map-entries"
    assert [record.getMessage() for record in caplog.records] == [
        f"reloaded the configuration; only a restart changes {flags}"
    ]


@pytest.mark.parametrize(
    ("name", "text", "refused", "successful"),
    [
        (
            "config",
            "series.limit: none",
            ":1: series.limit: 'none' is not a number from 1 to 10000000: correct it",
            False,
        ),
        ("config", None, "No such file or directory: correct it", False),
        ("accepted", "accepted: 1", ":1: accepted is not a list: correct it", True),
    ],
)
def test_an_invalid_file_changes_nothing_and_is_logged(files, caplog, name, text, refused, successful):
    config, accepted, reloading = files
    reload, configured = reloading()
    file = {"config": config, "accepted": accepted}[name]
    good = file.read_text()
    file.write_text(text) if text else file.unlink()
    line = reload()
    assert line.endswith(refused)
    assert (configured, reload.successful) == ([], successful)
    assert [record.getMessage() for record in caplog.records] == [LINE + line]
    file.write_text(good)
    assert reload() == ""
    assert (len(configured), reload.successful) == (1, True)


def test_equal_options_differ_in_nothing():
    assert list(changed(parse([]), parse([]))) == []
