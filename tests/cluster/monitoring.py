"""The real Prometheus Operator, and a real Prometheus with the configuration that it makes of the cluster's objects."""

import base64
import gzip
import json
import re
import shutil
from urllib.parse import quote

from tests.cluster.compile import BIN
from tests.cluster.node import API, CERTIFICATE, STATE, TOKEN, apply, get
from tests.cluster.processes import awaited, run

DIRECTORY = STATE / "prometheus"
RULES = DIRECTORY / "rules"
ADDRESS = "127.0.0.1:19090"
PROXY = "http://127.0.0.1:18001"
NAME = "box"
PROMETHEUS = {
    "apiVersion": "monitoring.coreos.com/v1",
    "kind": "Prometheus",
    "metadata": {"name": NAME, "namespace": "default"},
    "spec": {
        "version": "v3.5.0",
        "replicas": 0,
        "scrapeInterval": "1s",
        "evaluationInterval": "1s",
        **{f"{kind}{selector}": {} for kind in ("serviceMonitor", "podMonitor", "rule")
           for selector in ("Selector", "NamespaceSelector")},
        "apiserverConfig": {"host": API, "bearerTokenFile": str(TOKEN), "tlsConfig": {"caFile": str(CERTIFICATE)}},
    },
}  # fmt: skip


class Monitoring:
    """Prometheus and the operator, on the node beside the cluster: Debian's Prometheus does not know Kubernetes."""

    def __init__(self, services):
        self._services = services

    def start(self):
        RULES.mkdir(parents=True)
        start = self._services.start
        start("kubectl-proxy", BIN / "kubectl", "proxy", f"--kubeconfig={STATE}/kubeconfig", "--port=18001")
        awaited("the API server is reached without a token", lambda: run("curl", "-sf", f"{PROXY}/readyz"))
        start(
            "operator", BIN / "operator", f"-apiserver={PROXY}", "-web.listen-address=127.0.0.1:18088",
            "-kubelet-endpoints=false",
        )  # fmt: skip
        apply(PROMETHEUS)
        awaited("the operator has reconciled", self.configuration)
        self.take_over()
        start(
            "prometheus", BIN / "prometheus", f"--config.file={DIRECTORY}/prometheus.yml",
            f"--storage.tsdb.path={DIRECTORY}/data", f"--web.listen-address={ADDRESS}", "--web.enable-lifecycle",
        )  # fmt: skip
        awaited("Prometheus is ready", lambda: run("curl", "-sf", f"http://{ADDRESS}/-/ready"))

    @staticmethod
    def configuration():
        """Return the configuration that the operator generates, with paths of this machine."""
        packed = get("secret", f"prometheus-{NAME}", "--namespace=default")["data"]["prometheus.yaml.gz"]
        text = gzip.decompress(base64.b64decode(packed)).decode()
        text = text.replace("$(SHARD)", "0").replace("$(POD_NAME)", f"{NAME}-0")
        return text.replace(f"/etc/prometheus/rules/prometheus-{NAME}-rulefiles-0", str(RULES))

    def take_over(self):
        """Load the operator's current configuration and rules into Prometheus."""
        (DIRECTORY / "prometheus.yml").write_text(self.configuration())
        shutil.rmtree(RULES)
        RULES.mkdir()
        for name, text in self.rules().items():
            # Evaluated at once: some rules have an interval of five minutes.
            (RULES / name).write_text(re.sub(r"^([ -]*)interval: \S+$", r"\1interval: 1s", text, flags=re.MULTILINE))

    @staticmethod
    def rules():
        """Return the files of rules that the operator has generated."""
        return get("configmap", f"prometheus-{NAME}-rulefiles-0", "--namespace=default").get("data", {})

    def reload(self):
        self.take_over()
        run("curl", "-sfX", "POST", f"http://{ADDRESS}/-/reload")

    @staticmethod
    def ask(path):
        return json.loads(run("curl", "-sfm20", f"http://{ADDRESS}/api/v1/{path}"))["data"]

    def query(self, expression):
        return self.ask(f"query?query={quote(expression)}")["result"]

    @staticmethod
    def events():
        """Return the warnings of the operator."""
        return [one["message"] for one in get("events", "--all-namespaces")["items"] if one["type"] == "Warning"
                and one["involvedObject"]["kind"] in ("PrometheusRule", "ServiceMonitor", "PodMonitor")]  # fmt: skip
