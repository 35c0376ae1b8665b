"""From an execution to the notification of an alert: the real exporter, Prometheus and Alertmanager."""

import os
import subprocess
from contextlib import contextmanager

from tests.e2e import workload
from tests.e2e.alertmanager import alertmanager, receiver
from tests.e2e.prometheus import prometheus
from tests.kernel.command import COMMAND, served
from tests.kernel.programs import execute, static_elf
from tests.unit.dashboards.rules_world import RULES


@contextmanager
def watched(*exporters):
    """Yield the notifications about exporters that are scraped, each as an instance of the same job."""
    targets = [exporter.url.removeprefix("http://") for exporter in exporters]
    with receiver() as (received, webhook), alertmanager(webhook) as address:
        config = {
            "scrape_configs": [{"job_name": "exec", "static_configs": [{"targets": targets}]}],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [address]}]}]},
        }
        with prometheus(config, RULES) as server:
            server.wait_until(lambda: len(server.query("up == 1")) == len(targets))
            yield received, server, targets


def test_a_shell_on_a_socket_is_notified(probes):
    with served() as exporter, watched(exporter) as (received, _, (instance,)):
        path = workload.shell_on_a_socket("exit 0")
        alert = received.wait_for("firing", alertname="ExecShellOnSocket", path=path)
    assert alert["labels"] == {
        "alertname": "ExecShellOnSocket",
        "severity": "critical",
        "job": "exec",
        "instance": instance,
        "trait": "shell_socket_stdin",
        "path": path,
        "interpreter": alert["labels"]["interpreter"],
        "stdin_type": "socket",
    }
    assert path in alert["annotations"]["summary"]
    assert alert["annotations"]["runbook_url"].endswith("/ExecShellOnSocket.md")


def test_a_new_program_is_notified_once_for_the_fleet_until_it_is_accepted(probes, tmp_path):
    catalogues = [f"--catalogue.path={tmp_path}/{name}/catalogue.db" for name in ("a", "b")]
    with (
        served(catalogues[0], "--learning.duration=0") as a,
        served(catalogues[1], "--learning.duration=0") as b,
        watched(a, b) as (received, server, instances),
    ):
        server.wait_until(lambda: len(server.query('exec_exporter_baseline_state{state="watching"} == 1')) == 2)
        program = str(static_elf(tmp_path / "program", os.urandom(16)))
        execute(program)
        which = {"alertname": "ExecNovelBinary", "path": program, "reason": "new_path"}
        told = [received.wait_for("firing", instance=instance, **which) for instance in instances]
        assert {alert["labels"]["severity"] for alert in told} == {"warning"}
        (finding,) = {alert["labels"]["id"] for alert in told}
        together = [each for each in received.notifications if each["groupLabels"].get("id") == finding]
        assert {alert["labels"]["instance"] for alert in together[-1]["alerts"]} == set(instances)

        accept = [*COMMAND, "findings", "accept", finding, "--reason=a test"]
        subprocess.run([*accept, catalogues[0]], check=True, capture_output=True, timeout=60)
        received.wait_for("resolved", instance=instances[0], **which)
        assert received.alerts(instance=instances[1], **which)[-1]["status"] == "firing"
        subprocess.run([*accept, catalogues[1]], check=True, capture_output=True, timeout=60)
        received.wait_for("resolved", instance=instances[1], **which)
