"""The notes that Helm prints after an installation."""

import shutil

import pytest

from tests.chart.helm import CHART, settings, template


@pytest.fixture(scope="module")
def chart(tmp_path_factory):
    """The chart with its notes as an object: without a cluster, Helm does not print notes."""
    copy = tmp_path_factory.mktemp("chart") / "exec-exporter"
    shutil.copytree(CHART, copy)
    (copy / "templates/NOTES.txt").rename(copy / "files/notes")
    (copy / "templates/notes.yaml").write_text(
        'kind: Notes\nmetadata: {name: notes}\ntext: |\n  {{- tpl (.Files.Get "files/notes") . | nindent 2 }}\n'
    )
    return copy


@pytest.fixture
def notes(chart):
    return lambda *pairs: template(*settings(*pairs), chart=chart, namespace="n")["Notes", "notes"]["text"]


def test_the_label_that_the_namespace_needs(notes):
    assert "kubectl label namespace n pod-security.kubernetes.io/enforce=privileged" in notes()
    assert "label namespace other" in notes('namespaceOverride="other"')
    assert "pod-security" not in notes("openshift.enabled=true")


def test_a_catalogue_that_does_not_outlive_its_pod(notes):
    assert "Set catalogue.hostPath=" in notes()
    assert "Set catalogue.hostPath=" not in notes('catalogue.hostPath="/x"')


def test_steps_before_pins_are_left_behind(notes):
    assert "unpin" not in notes()
    text = notes("pins.enabled=true", 'fullnameOverride="execs"', 'namespaceOverride="other"')
    commands = [line.strip() for line in text.splitlines() if "unpinOnStop" in line or "rollout status" in line][-2:]
    assert commands == [
        "helm -n n upgrade exec-exporter CHART --reuse-values --set pins.unpinOnStop=true",
        "kubectl -n other rollout status daemonset/execs",
    ]
    template(*settings("pins.enabled=true", "pins.unpinOnStop=true"))  # accepted by the schema
    text = notes("pins.enabled=true", "pins.unpinOnStop=true")
    assert "leaves nothing behind" in text
    assert "--reuse-values" not in text


def test_the_target_of_scrapes(notes):
    assert "http://exec-exporter.n.svc:10042/metrics" in notes()
    assert "Nothing scrapes the exporter yet" not in notes("serviceMonitor.enabled=true")


@pytest.mark.parametrize(
    ("pairs", "warning"),
    [
        (["networkPolicy.enabled=true", "hostNetwork=true"], "NetworkPolicy has no effect"),
        (['web.config={"basic_auth_users": {"a": "b"}}'], "The kubelet has neither"),
        (["contentHashes.enabled=true"], "BPF, PERFMON, SYS_PTRACE, DAC_READ_SEARCH"),
    ],
)
def test_warnings(notes, pairs, warning):
    assert warning in notes(*pairs)
    assert warning not in notes()
