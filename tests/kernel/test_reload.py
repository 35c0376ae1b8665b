"""SIGHUP and POST /-/reload of a running exporter."""

import signal
import urllib.error
import urllib.request

import pytest

from tests.kernel.command import served
from tests.kernel.programs import execute, static_elf
from tests.scraped import Scraped
from tests.waiting import until

pytestmark = pytest.mark.native

RULES = "paths: {{rules: [{{match: '{}/build-[0-9]+', replace: '{}/build'}}]}}\n"
RELOADED = "exec_exporter_config_last_reload_successful"


def executed(exporter, below):
    found = Scraped(exporter.get().decode(), below).all
    return {one.labels["path"]: one.value for one in found if one.name == "exec_executions_total"}


def post(exporter):
    """Return the status and the body."""
    try:
        with urllib.request.urlopen(urllib.request.Request(exporter.url + "/-/reload", method="POST")) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_rules_change_without_a_restart_and_an_invalid_file_changes_nothing(tmp_path):
    programs, file = tmp_path / "programs", tmp_path / "config.yml"
    programs.mkdir()
    file.write_text("series.limit: 1000\n")
    program = static_elf(programs / "build-1")
    with served(f"--config.file={file}", "--web.enable-lifecycle") as exporter:
        execute(program, 2)
        assert executed(exporter, programs) == {str(program): 2}
        file.write_text(RULES.format(programs, programs))
        exporter.process.send_signal(signal.SIGHUP)

        def folded():
            execute(program)
            return executed(exporter, programs).get(f"{programs}/build", 0)

        assert until(folded)
        assert Scraped(exporter.get().decode()).value(RELOADED, file="config.file") == 1
        file.write_text("paths: {rules: 1}\n")
        status, body = post(exporter)
        assert (status, body.count("\n")) == (500, 1)
        assert body.startswith(f"failed to reload config: {file}:1: ")
        assert Scraped(exporter.get().decode()).value(RELOADED, file="config.file") == 0
        before = executed(exporter, programs)
        execute(program, 3)
        after = executed(exporter, programs)
        assert after[f"{programs}/build"] - before[f"{programs}/build"] == 3
        file.write_text("log.level: warn\n")
        assert post(exporter) == (200, "OK\n")
        execute(program, 5)
        assert executed(exporter, programs)[str(program)] - after[str(program)] == 5
