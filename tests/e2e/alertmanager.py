"""A real Alertmanager from Debian's package, and a receiver of its notifications, on the loopback device."""

import http.server
import json
import subprocess
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path

import yaml

from tests.e2e.prometheus import DEADLINE_SECONDS, listening_on
from tests.waiting import until

ROOT = Path(__file__).parents[2]
ALERTMANAGER = ROOT / ".cache/prometheus-alertmanager"
TEMPLATES = Path("/usr/share/prometheus/alertmanager")
EXAMPLE = ROOT / "dashboards/alertmanager.yaml"


class Receiver:
    """The notifications received, in order, in the format of Alertmanager's webhook."""

    def __init__(self):
        self.notifications = []

    def alerts(self, **labels):
        """Return all alerts received with these labels, in order."""
        return [
            alert
            for notification in self.notifications
            for alert in notification["alerts"]
            if labels.items() <= alert["labels"].items()
        ]

    def wait_for(self, status, deadline_seconds=DEADLINE_SECONDS, **labels):
        """Return the last alert with these labels, once it has that status."""

        def last():
            return next((alert for alert in self.alerts(**labels)[-1:] if alert["status"] == status), None)

        return until(last, deadline_seconds, what=lambda: f"{labels} is {status}; there are {self.alerts()}")


@contextmanager
def receiver():
    """Yield a receiver and its address."""
    received = Receiver()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            received.notifications.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield received, f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def alertmanager(webhook):
    """Yield the address of an Alertmanager with the configuration of the example, but without its waits."""
    config = yaml.safe_load(EXAMPLE.read_text("utf-8"))
    config["route"] |= {"group_wait": "1s", "group_interval": "1s"}
    for each in config["receivers"]:
        each["webhook_configs"] = [{"url": webhook, "send_resolved": True}]
    with tempfile.TemporaryDirectory(prefix="alertmanager-") as directory:
        file, log = Path(directory, "alertmanager.yml"), Path(directory, "log")
        file.write_text(json.dumps(config))  # JSON is YAML
        command = [
            ALERTMANAGER,
            f"--config.file={file}",
            f"--storage.path={directory}/data",
            "--web.listen-address=127.0.0.1:0",
            "--cluster.listen-address=",
        ]
        with log.open("wb") as output:
            process = subprocess.Popen(_with_templates(command), stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            yield listening_on(process, log, "Alertmanager")
        finally:
            process.terminate()
            process.wait(DEADLINE_SECONDS)


def _with_templates(command):
    """Show Debian's Alertmanager its templates at the path of its package; only this process sees them there."""
    if TEMPLATES.exists():
        return command
    cached = ROOT / ".cache/alertmanager-templates"
    put = 'mount -t tmpfs tmpfs /usr/share && mkdir -p "$0" && cp "$1"/*.tmpl "$0" && shift && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", put, TEMPLATES, cached, *command]
