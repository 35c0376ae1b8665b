"""A real Alertmanager, out of Debian's package, and a receiver of what it sends, on the loopback device."""

import http.server
import json
import subprocess
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import yaml

from tests.e2e.prometheus import DEADLINE_SECONDS, listening_on

ROOT = Path(__file__).parents[2]
ALERTMANAGER = ROOT / ".cache/prometheus-alertmanager"
EXAMPLE = ROOT / "dashboards/alertmanager.yaml"


class Receiver:
    """The notifications that came in, in their order, as Alertmanager's webhook has them."""

    def __init__(self):
        self.notifications = []
        self._came = threading.Condition()

    def take(self, notification):
        with self._came:
            self.notifications.append(notification)
            self._came.notify_all()

    def alerts(self, **labels):
        """All alerts with these labels that came in, in their order."""
        return [
            alert
            for notification in self.notifications
            for alert in notification["alerts"]
            if labels.items() <= alert["labels"].items()
        ]

    def wait_for(self, status, deadline_seconds=DEADLINE_SECONDS, **labels):
        """The last alert with these labels, once it has that status."""
        end = time.monotonic() + deadline_seconds
        with self._came:
            while not (found := self.alerts(**labels)) or found[-1]["status"] != status:
                left = end - time.monotonic()
                assert self._came.wait(left) if left > 0 else False, f"not {status} in time: {labels}: {self.alerts()}"
            return found[-1]


@contextmanager
def receiver():
    """A receiver and its address."""
    received = Receiver()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            received.take(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
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
    """The address of an Alertmanager with the example's configuration, but that it waits for nothing."""
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
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            yield listening_on(process, log, "Alertmanager")
        finally:
            process.terminate()
            process.wait(DEADLINE_SECONDS)
