"""Every set of values renders objects that are valid in the oldest and newest Kubernetes; invalid values are named."""

import re

import pytest
import yaml

from tests.chart.helm import CHART, NEWEST, OLDEST, VALUES, HelmError, helm, settings, template
from tests.chart.schemas import validate

SETS = sorted(VALUES.glob("*.yaml"))


@pytest.mark.parametrize("values", SETS, ids=lambda file: file.stem)
def test_lint(values):
    helm("lint", "--strict", "--quiet", f"--values={values}", str(CHART))


@pytest.mark.parametrize("kubernetes", [OLDEST, NEWEST])
@pytest.mark.parametrize("values", SETS, ids=lambda file: file.stem)
def test_objects_fit_the_schemas(values, kubernetes):
    objects = template(f"--values={values}", kubernetes=kubernetes)
    for made in objects.values():
        validate(made, kubernetes)


def test_a_schema_refuses_unknown_fields():
    service = template()["Service", "exec-exporter"]
    service["spec"]["prot"] = 1
    with pytest.raises(Exception, match="prot"):
        validate(service, NEWEST)
    monitor = template(*settings("serviceMonitor.enabled=true"))["ServiceMonitor", "exec-exporter"]
    monitor["spec"]["endpoints"][0]["intervall"] = "1s"
    with pytest.raises(Exception, match="intervall"):
        validate(monitor, NEWEST)


def test_older_kubernetes_is_refused():
    with pytest.raises(HelmError, match=r"incompatible with Kubernetes v?1\.24"):
        template(kubernetes="1.24")


def test_the_set_of_everything_switches_everything_on():
    switches = {path for path, value in _leaves(yaml.safe_load((CHART / "values.yaml").read_text())) if value is False}
    on = {path for path, value in _leaves(yaml.safe_load((VALUES / "everything.yaml").read_text())) if value is True}
    apart = {"podMonitor.enabled", "podMonitor.honorLabels", "serviceMonitor.honorLabels"}  # in podmonitor.yaml
    assert switches - on == apart


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("web.port=0", "at '/web/port': minimum"),
        ('web.port="10042"', "at '/web/port': got string, want integer"),
        ('image.pullPolicy="Sometimes"', "at '/image/pullPolicy': value must be one of"),
        ('image.digest="sha256:1"', "at '/image/digest': 'sha256:1' does not match"),
        ("serviceMonitr.enabled=true", "additional properties 'serviceMonitr' not allowed"),
        ("serviceMonitor.enable=true", "at '/serviceMonitor': additional properties 'enable' not allowed"),
        ('serviceMonitor.enabled="yes"', "at '/serviceMonitor/enabled': got string, want boolean"),
        ("serviceMonitor.interval=30", "at '/serviceMonitor/interval': got number, want string"),
        ('serviceMonitor={"enabled": true}', None),
        ('log.level="loud"', "at '/log/level': value must be one of"),
        ('extraArgs=["log.level=debug"]', "at '/extraArgs/0': 'log.level=debug' does not match"),
        ('commonLabels={"tier": 1}', "at '/commonLabels/tier': got number, want string"),
        ('tolerations="all"', "at '/tolerations': got string, want array"),
        ("startupProbe.failureThreshold=0", "at '/startupProbe/failureThreshold': minimum"),
        ('prometheusRule.disabled={"ExecStorm": "yes"}', "at '/prometheusRule/disabled/ExecStorm': got string"),
        ('job="a\\"b"', "at '/job': 'a\"b' does not match"),
        ('namespaceOverride="My Space"', "at '/namespaceOverride': 'My Space' does not match"),
        ('catalogue.hostPath="var/lib"', "at '/catalogue/hostPath': 'var/lib' does not match"),
        ('contentHashes={"enabled": true}', None),
        ('pins.hostPath=""', "at '/pins/hostPath': '' does not match"),
        ("pins.unpinOnStop=true", "at '/pins/enabled': value must be true"),
        ('pins.path="/x"', "at '/pins': additional properties 'path' not allowed"),
        ('web.existingSecret="exec-web"', "at '/web/scheme': value must be one of 'http', 'https'"),
    ],
)
def test_bad_values_are_named(value, message):
    if message is None:
        template(*settings(value))
        return
    with pytest.raises(HelmError, match=re.escape(message)):
        template(*settings(value))


def test_content_hashes_require_the_host_pid_namespace():
    with pytest.raises(HelmError, match="'/hostPID': value must be true"):
        template(*settings("contentHashes.enabled=true", "hostPID=false"))


def test_only_one_monitor_at_a_time():
    with pytest.raises(HelmError, match="'/podMonitor/enabled': value must be false"):
        template(*settings("serviceMonitor.enabled=true", "podMonitor.enabled=true"))


@pytest.mark.parametrize("surge", ["1", '"10%"'])
def test_pods_that_have_pins_do_not_overlap(surge):
    pair = f"updateStrategy.rollingUpdate.maxSurge={surge}"
    template(*settings(pair))
    template(*settings("pins.enabled=true", "updateStrategy.rollingUpdate.maxSurge=0"))
    with pytest.raises(HelmError, match="at '/updateStrategy/rollingUpdate/maxSurge': value must be one of"):
        template(*settings("pins.enabled=true", pair))


def test_a_web_configuration_has_one_source():
    given = 'web={"existingSecret": "x", "scheme": "http", "authentication": false, "config": {"rate_limit": {}}}'
    with pytest.raises(HelmError, match="at '/web/config': maxProperties"):
        template(*settings(given))


def _leaves(value, prefix=""):
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(inner, f"{prefix}.{key}" if prefix else key)
    else:
        yield prefix, value
