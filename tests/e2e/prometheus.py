"""A real Prometheus, out of Debian's package, on the loopback device."""

import json
import re
import subprocess
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from contextlib import contextmanager
from pathlib import Path

from tests.waiting import until

PROMETHEUS = Path(__file__).parents[2] / ".cache/prometheus"
DEADLINE_SECONDS = 240
INTERVALS = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}


class Prometheus:
    def __init__(self, url):
        self.url = url

    def query(self, promql, time=None):
        """The result of an instant query as [(labels, value)]; a scalar has no labels."""
        found = self.api("query", query=promql, **({} if time is None else {"time": time}))
        if found["resultType"] == "scalar":
            return [({}, float(found["result"][1]))]
        return [(series["metric"], float(series["value"][1])) for series in found["result"]]

    def targets(self):
        """The active targets as the API has them: health, lastError, lastScrape, labels, scrapeUrl and so on."""
        return self.api("targets", state="active")["activeTargets"]

    def api(self, what, **parameters):
        """The data of an answer of /api/v1, such as query_range, rules, alerts, series. Errors are AssertionErrors."""
        try:
            body = self._get(f"/api/v1/{what}?{urllib.parse.urlencode(parameters, doseq=True)}")
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{what} {parameters}: {error.read().decode()}") from error
        return json.loads(body)["data"]

    def wait_until(self, condition, deadline_seconds=DEADLINE_SECONDS):
        """Returns what the condition gives as soon as it is true."""
        return until(condition, deadline_seconds, what=lambda: f"targets are {self.targets()}")

    def _get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=120) as answer:
            return answer.read()


@contextmanager
def prometheus(config, rule_files=(), flags=()):
    """A Prometheus with a configuration (what prometheus.yml holds, as a dict) until the end of the block.

    It scrapes and evaluates each second if `config` has no `global` of its own. Its data are in a temporary directory.
    """
    with tempfile.TemporaryDirectory(prefix="prometheus-") as directory:
        file, log = Path(directory, "prometheus.yml"), Path(directory, "log")
        rules = {"rule_files": [str(Path(path).absolute()) for path in rule_files]}
        file.write_text(json.dumps({"global": INTERVALS, **rules, **config}))  # JSON is YAML
        command = [
            PROMETHEUS,
            f"--config.file={file}",
            f"--storage.tsdb.path={directory}/data",
            "--web.listen-address=127.0.0.1:0",
            *flags,
        ]
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            yield _ready(process, log)
        finally:
            process.terminate()
            try:
                process.wait(DEADLINE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _ready(process, log):
    """Waits until it has opened its port, whose number it logs, and says that it is ready."""
    server = Prometheus(f"http://{listening_on(process, log, 'Prometheus')}")
    server.wait_until(lambda: _answers(server))
    return server


def listening_on(process, log, name):
    """The address that a process has logged that it listens on, as soon as it has."""

    def address():
        said = log.read_text("utf-8", "replace")
        assert process.poll() is None, f"{name} did not start:\n{said}"
        return re.search(r'msg="Listening on" .*?address=(127\.0\.0\.1:\d+)', said)

    return until(address, DEADLINE_SECONDS, what=f"{name} listens")[1]


def _answers(server):
    try:
        server._get("/-/ready")
    except OSError:  # 503 is an OSError to urllib, too
        return False
    return True
