"""The chart on a real Kubernetes, from its installation until its complete removal. The tests build on one another."""

import json
import re
from contextlib import suppress
from pathlib import Path

import pytest

from tests.chart.helm import CHART, ROOT, VALUES, settings, template
from tests.cluster.node import BPFFS, KUBECONFIG, apply, get, kubectl
from tests.cluster.processes import BOX, awaited, run
from tests.kernel.bpf_objects import bpf_objects
from tests.kernel.programs import static_elf
from tests.tools.go import HELM

NAMESPACE = "execs"
# Prints the status of the exporter's process, which an ordinary user may read.
STATUS = """
import pathlib
for process in pathlib.Path("/proc").glob("[0-9]*"):
    if (process / "cmdline").read_bytes().startswith(b"/opt/exec_exporter/"):
        print((process / "status").read_text())
"""
RELEASE = "exec-exporter"
IDS = re.compile(r"^(prog|map|link)_id:\s*(\d+)$", re.MULTILINE)  # in fdinfo
KINDS = {"prog": "program", "map": "map", "link": "link"}
HELD = set()  # IDs that any pod was seen to hold
SELECTOR = f"app.kubernetes.io/instance={RELEASE}"
DRY_RUN = ("--dry-run=server", "--validate=strict")
# Programs that this machine runs meanwhile.
UNLIMITED = 'config={"series": {"limit": 200000}}', 'resources.limits.memory="1Gi"'
MONITORED = ("serviceMonitor.enabled=true", "prometheusRule.enabled=true", "dashboards.enabled=true")


def helm(*arguments):
    said = run("env", f"KUBECONFIG={KUBECONFIG}", HELM, *arguments, f"--namespace={NAMESPACE}")
    print(said)
    return said


def rolled_out():
    """Wait for the rollout: Helm does not wait for a DaemonSet that may have all of its pods unavailable."""
    print(kubectl("rollout", "status", f"daemonset/{RELEASE}", f"--namespace={NAMESPACE}", "--timeout=120s"))
    HELD.update(held())
    return current()


def held():
    """Return the BPF objects that processes of the cluster hold, without those of other processes."""
    cluster = (Path("/proc") / (BOX / "pid").read_text().strip() / "ns/pid").readlink()
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # the process has ended
            if (process / "ns/pid").readlink() == cluster:
                for file in (process / "fdinfo").iterdir():
                    found |= {(KINDS[kind], int(number)) for kind, number in IDS.findall(file.read_text())}
    return found


def current():
    """Return the pod that is not terminating; raise ValueError while there is none."""
    pods = get("pods", f"--namespace={NAMESPACE}", f"--selector={SELECTOR}")["items"]
    (one,) = (one for one in pods if "deletionTimestamp" not in one["metadata"])
    return one


def metrics():
    """Return a scrape of the service's address."""
    service = get("service", RELEASE, f"--namespace={NAMESPACE}")["spec"]
    return run("curl", "-sfm5", f"http://{service['clusterIP']}:{service['ports'][0]['port']}/metrics").splitlines()


def counted(path):
    return sum(
        float(line.split()[-1])
        for line in metrics()
        if line.startswith("exec_executions_total{") and f'path="{path}"' in line
    )


@pytest.fixture(scope="module", autouse=True)
def namespace(cluster):
    labels = {"pod-security.kubernetes.io/enforce": "privileged"}
    apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}})


@pytest.fixture(scope="module")
def before(namespace):
    """Return the objects that exist before the installation."""
    return everything()


def everything():
    """Return all objects of the namespace, and those without namespace, by kind and name."""
    kinds = kubectl("api-resources", "--verbs=list", "--output=name").split()
    left_out = ("events", "events.events.k8s.io", "leases.coordination.k8s.io")  # Kubernetes' own, and transient
    kinds = [kind for kind in kinds if kind not in left_out]
    listed = kubectl("get", ",".join(kinds), f"--namespace={NAMESPACE}", "--output=name", "--ignore-not-found")
    return set(listed.split())


@pytest.mark.parametrize("values", sorted(VALUES.glob("*.yaml")), ids=lambda file: file.stem)
def test_the_api_server_takes_every_object(values):
    objects = template(f"--values={values}", namespace=NAMESPACE).values()
    for made in objects:
        if made["metadata"].get("namespace"):
            made["metadata"]["namespace"] = NAMESPACE
        if made["kind"] == "Pod":
            made["spec"]["serviceAccountName"] = "default"  # its own is removed
    taken = kubectl(
        "apply",
        *DRY_RUN,
        "--filename=-",
        input=json.dumps({"kind": "List", "apiVersion": "v1", "items": list(objects)}),
    )
    assert taken.count("(server dry run)") == len(objects)


def test_the_plain_manifest_is_taken_too():
    kubectl("apply", "--filename=-", input=(ROOT / "helm/exec-exporter.yaml").read_text().split("---")[0])
    kubectl("apply", *DRY_RUN, f"--filename={ROOT / 'helm/exec-exporter.yaml'}")
    kubectl("delete", "namespace", "exec-exporter")


def test_the_api_server_refuses_unknown_fields():
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": {"prots": []}}
    with pytest.raises(RuntimeError, match="prots"):
        kubectl("apply", *DRY_RUN, "--filename=-", input=json.dumps(service))


def test_install(before):
    said = helm("install", RELEASE, CHART, *settings(*UNLIMITED))
    assert f"kubectl label namespace {NAMESPACE} pod-security.kubernetes.io/enforce=privileged" in said
    pod = rolled_out()
    assert pod["spec"]["containers"][0]["image"] == "localhost/exec-exporter:0.1.0"


def test_helm_test():
    assert "Phase:          Succeeded" in helm("test", RELEASE)


def select(value):
    """Add a label to the selector of the service, which no pod has, or remove it."""
    patch = f'--patch={{"spec": {{"selector": {{"no": {value}}}}}}}'
    kubectl("patch", "service", RELEASE, f"--namespace={NAMESPACE}", patch)


def test_helm_test_fails_where_nobody_answers():
    select('"pod"')
    with pytest.raises(RuntimeError, match="exec-exporter-test"):
        helm("test", RELEASE)
    said = kubectl("logs", f"--namespace={NAMESPACE}", f"{RELEASE}-test")
    assert said.startswith(f"http://{RELEASE}.{NAMESPACE}.svc:10042/metrics does not respond: ")
    select("null")
    awaited("the service has the pod again", metrics)
    kubectl("delete", "pod", f"{RELEASE}-test", f"--namespace={NAMESPACE}")


def test_executions_on_the_node_are_counted(tmp_path):
    program = static_elf(tmp_path / "on-the-node")
    for _ in range(7):
        run(program)
    assert counted(program) == 7


def test_executions_in_another_pod_are_counted():
    """A copy of true in an emptyDir of that pod is executed: no other container has it."""
    script = "cp /usr/bin/true /work/in-a-pod && for i in 1 2 3 4 5; do /work/in-a-pod; done"
    apply({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "other", "namespace": NAMESPACE},
        "spec": {
            "restartPolicy": "Never",
            "containers": [{
                "name": "other", "image": "localhost/exec-exporter:0.1.0", "imagePullPolicy": "Never",
                "command": ["/bin/sh", "-c", script], "volumeMounts": [{"name": "work", "mountPath": "/work"}],
            }],
            "volumes": [{"name": "work", "emptyDir": {}}],
        },
    })  # fmt: skip
    awaited("the other pod has ended well", lambda: _phase("other") == "Succeeded")
    assert counted("/work/in-a-pod") == 5
    kubectl("delete", "pod", "other", f"--namespace={NAMESPACE}")


def _phase(name):
    return get("pod", name, f"--namespace={NAMESPACE}")["status"]["phase"]


def test_privileges_of_the_process():
    pod = rolled_out()
    (status,) = pod["status"]["containerStatuses"]
    assert (status["restartCount"], status["ready"]) == (0, True)
    said = kubectl(
        "exec", f"--namespace={NAMESPACE}", pod["metadata"]["name"], "--", "/usr/bin/python3", "-c", STATUS
    )  # fmt: skip
    lines = {key: value.split() for key, _, value in (line.partition(":") for line in said.splitlines())}
    assert lines["Uid"] == ["65534"] * 4
    assert lines["CapEff"] == lines["CapPrm"] == lines["CapAmb"] == ["0" * 16]
    assert lines["CapBnd"] == [f"{1 << 38 | 1 << 39:016x}"]
    assert (lines["NoNewPrivs"], lines["Seccomp"]) == (["1"], ["2"])


def test_trace_in_the_pod():
    """Processes of `kubectl exec` have the capabilities too."""
    pod = rolled_out()["metadata"]["name"]
    said = kubectl("exec", f"--namespace={NAMESPACE}", pod, "--", "exec_exporter", "--check")
    assert re.search(r"^probe: compiled, loaded.*, attached; [1-9]", said, re.MULTILINE)


def test_upgrade():
    pairs = (*MONITORED, 'image.tag="next"', 'config={"series": {"limit": 123456}}', "networkPolicy.enabled=true")
    helm("upgrade", RELEASE, CHART, *settings(*pairs))
    assert rolled_out()["spec"]["containers"][0]["image"] == "localhost/exec-exporter:next"
    awaited("the new pod answers", lambda: "exec_exporter_series_limit 123456.0" in metrics())


def test_the_target_of_the_service_monitor_is_scraped(monitoring):
    awaited(
        "the operator has the monitor", lambda: f"serviceMonitor/{NAMESPACE}/{RELEASE}/0" in monitoring.configuration()
    )
    monitoring.reload()

    def target():
        active = monitoring.ask("targets?state=active")["activeTargets"]
        return [one for one in active if one["health"] == "up" and one["labels"]["namespace"] == NAMESPACE]

    (found,) = awaited("the target is up", target)
    assert (found["labels"]["job"], found["labels"]["instance"]) == ("exec", "node1")
    (sample,) = awaited("a sample is stored", lambda: monitoring.query("exec_exporter_probe_attached"))
    assert sample["value"][1] == "1"
    series = monitoring.query('{__name__=~"exec_.+"}')
    assert series
    assert not [label for one in series for label in one["metric"] if label.startswith("exported_")]


def test_the_rules_are_loaded_and_evaluated(monitoring):
    wanted = get("prometheusrule", RELEASE, f"--namespace={NAMESPACE}")["spec"]["groups"]
    alerts = {one["alert"] for group in wanted for one in group["rules"] if "alert" in one}
    assert len(alerts) > 10

    def evaluated():
        rules = [rule for group in monitoring.ask("rules")["groups"] for rule in group["rules"]]
        return rules if rules and "unknown" not in {rule["health"] for rule in rules} else None

    awaited("the operator has the rules", lambda: monitoring.rules() and not monitoring.reload())
    rules = awaited("all rules are evaluated", evaluated, 180)
    assert [rule for rule in rules if rule["health"] != "ok"] == []
    assert {rule["name"] for rule in rules if rule["type"] == "alerting"} == alerts
    assert len(rules) == sum(len(group["rules"]) for group in wanted)
    assert monitoring.events() == []


def test_the_dashboards_are_there():
    found = get("configmaps", f"--namespace={NAMESPACE}", "--selector=grafana_dashboard=1")["items"]
    files = {name: json.loads(text) for one in found for name, text in one["data"].items()}
    assert set(files) == {file.name for file in (ROOT / "dashboards/grafana").glob("*.json")}


def test_the_pod_monitor_does_the_same(monitoring):
    helm("upgrade", RELEASE, CHART, *settings("podMonitor.enabled=true"))
    rolled_out()
    awaited("the operator has the monitor", lambda: f"podMonitor/{NAMESPACE}/{RELEASE}/0" in monitoring.configuration())
    monitoring.reload()

    def target():
        active = monitoring.ask("targets?state=active")["activeTargets"]
        return [one for one in active if one["health"] == "up" and one["scrapePool"].startswith("podMonitor")]

    (found,) = awaited("the target is up", target)
    assert (found["labels"]["job"], found["labels"]["instance"]) == ("exec", "node1")


def test_rollback():
    helm("rollback", RELEASE, "1")
    assert rolled_out()["spec"]["containers"][0]["image"] == "localhost/exec-exporter:0.1.0"
    awaited("it counts as before", lambda: "exec_exporter_series_limit 200000.0" in metrics())
    left = get("configmaps", f"--namespace={NAMESPACE}", "--selector=app.kubernetes.io/name=exec-exporter")["items"]
    assert [one["metadata"]["name"] for one in left] == [RELEASE]


def test_wrong_configuration_is_one_line_of_the_log():
    helm("upgrade", RELEASE, CHART, *settings('config={"series": {"limt": 1}}'))
    (line,) = awaited("a pod has ended", _last_words).splitlines()
    assert line.startswith("exec_exporter: /etc/exec_exporter/config/exec_exporter.yml")
    assert "limt" in line
    helm("rollback", RELEASE, "1")
    rolled_out()


def _last_words():
    for pod in get("pods", f"--namespace={NAMESPACE}")["items"]:
        for one in pod["status"].get("containerStatuses", []):
            if one["restartCount"]:
                said = kubectl("logs", f"--namespace={NAMESPACE}", pod["metadata"]["name"], "--previous")
                return None if said.startswith("unable to retrieve") else said
    return None


def test_a_namespace_without_the_label_gets_no_pod():
    kubectl("label", "namespace", NAMESPACE, "--overwrite", "pod-security.kubernetes.io/enforce=restricted")
    helm("uninstall", RELEASE, "--wait")
    helm("install", RELEASE, CHART)

    def forbidden():
        events = get("events", f"--namespace={NAMESPACE}")["items"]
        return [one["message"] for one in events if one["reason"] == "FailedCreate"]

    message = awaited("Kubernetes says why", forbidden)[0]
    assert "violates PodSecurity" in message
    assert "hostPID=true" in message
    kubectl("label", "namespace", NAMESPACE, "--overwrite", "pod-security.kubernetes.io/enforce=privileged")
    awaited("the pod comes", rolled_out)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return static_elf(tmp_path_factory.mktemp("pins") / "pinned")


def replaced(program, change):
    """Execute a program all the time from before a change until another pod responds; return how often."""
    old, times = rolled_out()["metadata"]["name"], 0
    change()

    def others():
        nonlocal times
        run(program)
        times += 1
        return current()["metadata"]["name"] != old and metrics()

    awaited("another pod answers", others)
    return times


def pinned():
    """Return the exporter's pins on the node."""
    return run("find", f"{BPFFS}/exec-exporter", "!", "-type", "d").split()


def test_pins_count_from_pod_to_pod(program):
    helm("upgrade", RELEASE, CHART, *settings(*UNLIMITED, "pins.enabled=true"))
    rolled_out()
    awaited("the new pod answers", lambda: "exec_exporter_pinned 1.0" in metrics())
    run(program)
    times = 1 + replaced(
        program,
        lambda: kubectl("delete", "pod", f"--selector={SELECTOR}", f"--namespace={NAMESPACE}", "--wait=false"),
    )
    assert "exec_exporter_pinned 1.0" in metrics()
    assert counted(program) == times


def test_an_update_adopts_pins_too(program):
    """The update sets pins.unpinOnStop, as the notes demand before an uninstallation."""
    before = counted(program)
    assert before > 0
    pairs = "--reuse-values", *settings("pins.unpinOnStop=true")
    times = replaced(program, lambda: helm("upgrade", RELEASE, CHART, *pairs))
    assert counted(program) == before + times
    assert pinned()


def test_uninstall_leaves_nothing(before):
    helm("uninstall", RELEASE, "--wait")
    awaited("the last pod has unpinned", lambda: not pinned(), 60)
    awaited("all is gone", lambda: everything() == before, 60)
    assert {kind for kind, _ in HELD} == set(KINDS.values())
    awaited("the kernel has nothing left of it", lambda: not bpf_objects() & HELD, 30)
