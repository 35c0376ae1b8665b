"""From an execution to the notification of an alert: the real exporter, Prometheus and Alertmanager."""

from contextlib import contextmanager

from tests.e2e import workload
from tests.e2e.alertmanager import alertmanager, receiver
from tests.e2e.prometheus import prometheus
from tests.kernel.command import served
from tests.unit.rules_world import RULES


@contextmanager
def watched(*exporters):
    """What is received of exporters that are scraped, each as an instance of the same job."""
    targets = [exporter.url.removeprefix("http://") for exporter in exporters]
    with receiver() as (received, webhook), alertmanager(webhook) as address:
        config = {
            "scrape_configs": [{"job_name": "exec", "static_configs": [{"targets": targets}]}],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [address]}]}]},
        }
        with prometheus(config, RULES) as server:
            server.wait_until(lambda: len(server.query("up == 1")) == len(targets))
            yield received, targets


def test_a_shell_on_a_socket_is_told(probes):
    with served() as exporter, watched(exporter) as (received, (instance,)):
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
