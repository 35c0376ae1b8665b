"""The chart as a dependency of an umbrella chart: switched by a condition or a tag, under aliases, with nulls."""

import json
import shutil
from collections import Counter

import pytest
import yaml

from tests.chart.helm import CHART, NEWEST, HelmError, helm
from tests.chart.schemas import validate

NAME = "exec-exporter"
EVERYTHING = {
    name: {"enabled": True}
    for name in ("serviceMonitor", "prometheusRule", "dashboards", "networkPolicy", "openshift", "contentHashes")
} | {
    "config": {"series.limit": 1},
    "acceptedFindings": [{"path": "/x", "reason": "x"}],
    "web": {"config": {"rate_limit": {}}},
}


@pytest.fixture
def umbrella(tmp_path):
    """A function that returns the objects of an umbrella chart with these dependencies and values."""
    shutil.copytree(CHART, tmp_path / "charts" / NAME)
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["version"]

    def rendered(values, *dependencies, release="x"):
        listed = [{"name": NAME, "version": version, "repository": "", **one} for one in dependencies or ({},)]
        chart = {"apiVersion": "v2", "name": "umbrella", "version": "0.1.0", "dependencies": listed}
        (tmp_path / "Chart.yaml").write_text(yaml.safe_dump(chart))
        (tmp_path / "values.yaml").write_text(yaml.safe_dump(values))
        made = helm("template", release, str(tmp_path), f"--kube-version={NEWEST}", "--namespace=space")
        return [one for one in yaml.load_all(made, yaml.CSafeLoader) if one]

    return rendered


def daemonsets(objects):
    return [one["metadata"]["name"] for one in objects if one["kind"] == "DaemonSet"]


@pytest.mark.parametrize(("enabled", "number"), [(True, 1), (False, 0)])
def test_a_condition_switches_it(umbrella, enabled, number):
    values = {NAME: {"enabled": enabled}, "global": {"imageRegistry": "registry.example", "enabled": False}}
    assert len(daemonsets(umbrella(values, {"condition": f"{NAME}.enabled"}))) == number


@pytest.mark.parametrize(("enabled", "number"), [(True, 1), (False, 0)])
def test_a_tag_switches_it(umbrella, enabled, number):
    assert len(daemonsets(umbrella({"tags": {"monitoring": enabled}}, {"tags": ["monitoring"]}))) == number


@pytest.mark.parametrize(
    ("release", "aliases"),
    [
        ("x", ("one", "other")),
        ("node-exec", ("node", "exec")),
        ("node-exec", ("node-exec", "exec")),
        ("a" * 53, ("exec-exporter-linux", "exec-exporter-gpu")),
    ],
)
def test_two_aliases_in_one_release_share_no_name_and_select_no_pod_of_the_other(umbrella, release, aliases):
    values = dict.fromkeys(aliases, EVERYTHING)
    objects = umbrella(values, *({"alias": alias} for alias in aliases), release=release)
    names = Counter((one["kind"], one["metadata"]["name"]) for one in objects)
    assert [name for name, count in names.items() if count > 1] == []
    assert len(daemonsets(objects)) == 2
    for made in objects:
        validate(made, NEWEST)
    selectors = [one["spec"]["selector"] for one in objects if one["kind"] == "Service"]
    assert selectors[0] != selectors[1]
    selected = [one["spec"]["selector"]["matchLabels"] for one in objects if one["kind"] == "DaemonSet"]
    assert sorted(map(str, selected)) == sorted(map(str, selectors))


def test_names_can_be_overridden(umbrella):
    values = {"one": {"nameOverride": "counter"}, "other": {"fullnameOverride": "full"}}
    assert sorted(daemonsets(umbrella(values, {"alias": "one"}, {"alias": "other"}))) == ["full", "x-counter"]


def _keys(values, before=()):
    for key, value in values.items():
        yield *before, key
        if isinstance(value, dict) and key != "affinity":  # an object of Kubernetes
            yield from _keys(value, (*before, key))


SCHEMA = json.loads((CHART / "values.schema.json").read_text())
REQUIRED = {(name,) for name in SCHEMA["required"]} | {
    (section, name) for section, schema in SCHEMA["properties"].items() for name in schema.get("required", ())
}


def test_null_removes_a_default_or_the_property_is_named(umbrella):
    for path in _keys(yaml.safe_load((CHART / "values.yaml").read_text())):
        value = None
        for key in reversed(path):
            value = {key: value}
        if path in REQUIRED:
            with pytest.raises(HelmError, match=f"missing property '{path[-1]}'"):
                umbrella({NAME: value})
            continue
        for made in umbrella({NAME: value}):
            validate(made, NEWEST)
