"""Every query of every panel returns data from a real Prometheus that scrapes a real exporter at work."""

import math
import os
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.alone import alone
from tests.e2e import workload
from tests.e2e.prometheus import prometheus
from tests.kernel.command import served
from tests.unit.dashboards.grafana import ANNOTATIONS, DASHBOARDS, TARGETS, filled_in, variables
from tests.unit.dashboards.rules_world import RULES

BPF_STATISTICS = Path("/proc/sys/kernel/bpf_stats_enabled")
RATE_INTERVAL, SHOWN = "8s", "40s"


@contextmanager
def statistics():
    """Enable the kernel's statistics of BPF programs."""
    before = BPF_STATISTICS.read_text("ascii")
    BPF_STATISTICS.write_text("1", "ascii")
    try:
        yield
    finally:
        BPF_STATISTICS.write_text(before, "ascii")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Yield a Prometheus that has scraped for some seconds."""
    if os.geteuid():
        pytest.skip(f"probes need root, this is uid {os.geteuid()}")
    alone()
    directory = tmp_path_factory.mktemp("work")
    flags = (f"--catalogue.path={directory}/catalogue/catalogue.db", "--learning.duration=0")
    with statistics(), served(*flags) as exporter, workload.goes_on(directory):
        address = exporter.url.removeprefix("http://")
        static = [{"targets": [address], "labels": {"cluster": "east"}}]
        jobs = [{"job_name": "exec", "static_configs": static}]
        with prometheus({"scrape_configs": jobs}, eager_rules(directory)) as server:
            workload.shell_on_a_socket("exit 0")
            server.wait_until(lambda: server.query("count_over_time(up[1m]) > 15"))
            yield server


def eager_rules(directory):
    """Return copies of the rules, evaluated every second instead of every few minutes."""
    copies = []
    for file in RULES:
        copies.append(directory / file.name)
        copies[-1].write_text(file.read_text("utf-8").replace("interval: 5m", "interval: 1s"), "utf-8")
    return copies


def answers(server, target):
    """Return the values of a query, now or over the time shown."""
    expression = filled_in(target["expr"], RATE_INTERVAL, SHOWN)
    now = time.time()
    if target["instant"]:
        return [value for _, value in server.query(expression, now)]
    found = server.api("query_range", query=expression, start=now - 5, end=now, step=1)
    return [float(value) for series in found["result"] for _, value in series["values"]]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_no_panel_is_empty(server, name):
    asked = [(panel, target) for dashboard, panel, target in TARGETS if dashboard == name]
    empty = [
        (panel["title"], target["refId"])
        for panel, target in asked
        if not any(map(math.isfinite, answers(server, target)))
    ]
    assert not empty


@pytest.mark.parametrize("dashboard", DASHBOARDS.values(), ids=DASHBOARDS)
def test_the_variables_have_values(server, dashboard):
    for name, values in (("cluster", ["east"]), ("job", ["exec"])):
        series = variables(dashboard)[name]["query"].removeprefix("label_values(").rpartition(", ")[0]
        labels = server.api(f"label/{name}/values", **{"match[]": filled_in(series, "", "")})
        assert labels == values


def test_annotations_have_no_errors(server):
    for _, annotation in ANNOTATIONS:
        server.query(filled_in(annotation["expr"], RATE_INTERVAL, SHOWN))


def test_all_rules_are_evaluated_without_an_error(server):
    def rules():
        return [rule for group in server.api("rules")["groups"] for rule in group["rules"]]

    server.wait_until(lambda: all(rule["health"] != "unknown" for rule in rules()))
    assert {(rule["name"], rule.get("lastError")) for rule in rules() if rule["health"] != "ok"} == set()
