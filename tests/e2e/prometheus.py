"""A real Prometheus from Debian's package, on the loopback device."""

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
        """Return the result of an instant query as [(labels, value)]; a scalar has no labels."""
        found = self.api("query", query=promql, **({} if time is None else {"time": time}))
        if found["resultType"] == "scalar":
            return [({}, float(found["result"][1]))]
        return [(series["metric"], float(series["value"][1])) for series in found["result"]]

    def targets(self):
        """Return the active targets in the API's form: health, lastError, lastScrape, labels, scrapeUrl and so on."""
        return self.api("targets", state="active")["activeTargets"]

    def api(self, what, **parameters):
        """Return the data of a response of /api/v1 (query_range, rules, alerts...). Raise AssertionError on errors."""
        try:
            body = self._get(f"/api/v1/{what}?{urllib.parse.urlencode(parameters, doseq=True)}")
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{what} {parameters}: {error.read().decode()}") from error
        return json.loads(body)["data"]

    def wait_until(self, condition, deadline_seconds=DEADLINE_SECONDS):
        """Return the value of the condition as soon as it is true."""
        return until(condition, deadline_seconds, what=lambda: f"targets are {self.targets()}")

    def _get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=120) as answer:
            return answer.read()


@contextmanager
def prometheus(config, rule_files=(), flags=()):
    """Run a Prometheus with a configuration (the content of prometheus.yml as a dict) until the end of the block.

    It scrapes and evaluates each second unless `config` has a `global`. Its data are in a temporary directory.
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
    """Wait until it has opened its port, whose number it logs, and is ready."""
    server = Prometheus(f"http://{listening_on(process, log, 'Prometheus')}")
    server.wait_until(lambda: _answers(server))
    return server


def listening_on(process, log, name):
    """Return the address that a process listens on, as soon as it has logged it."""

    def address():
        said = log.read_text("utf-8", "replace")
        assert process.poll() is None, f"{name} did not start:\n{said}"
        return re.search(r'msg="Listening on" .*?address=(127\.0\.0\.1:\d+)', said)

    return until(address, DEADLINE_SECONDS, what=f"{name} listens")[1]


def _answers(server):
    try:
        server._get("/-/ready")
    except OSError:  # urllib raises an OSError for 503, too
        return False
    return True
