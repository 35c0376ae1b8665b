"""The chart agrees with the exporter that it starts, and the files generated from the chart are up to date."""

import importlib.util
import json
import re
import subprocess

import pytest
import yaml

from exporter import __version__
from exporter.config.resolve import variable
from exporter.logs import FORMATS, LEVELS
from exporter.metrics import definitions
from exporter.service.options import parse, parser
from tests.chart.helm import CHART, ROOT, VALUES, container, helm, template
from tests.tools.go import HELM

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
FLAGS = {flag for action in parser()._actions for flag in action.option_strings}
VARIABLES = {variable("exec_exporter", flag.removeprefix("--")) for flag in FLAGS}


def generate():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "helm/generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_versions():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == __version__
    assert container()["image"].endswith(f":{__version__}")


@pytest.mark.parametrize("values", sorted(VALUES.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_flag_exists(values, tmp_path):
    objects = template(f"--values={values}")
    (daemonset,) = (one for (kind, _), one in objects.items() if kind == "DaemonSet")
    container = daemonset["spec"]["template"]["spec"]["containers"][0]
    arguments = container["args"]
    assert {argument.partition("=")[0] for argument in arguments} <= FLAGS
    environment = {one["name"]: one["value"] for one in container.get("env", [])}
    assert {name for name in environment if name.startswith("EXEC_EXPORTER_")} <= VARIABLES
    for one in objects.values():
        for name, text in {**one.get("data", {}), **one.get("stringData", {})}.items():
            (tmp_path / name).write_text(text)
    options = parse(
        [re.sub("=/etc/exec_exporter/[a-z]+/", f"={tmp_path}/", argument) for argument in arguments], environment
    )
    for file in (options.service.config_file, options.web.config_file, options.novelty.accepted_file):
        assert file is None or file.exists() or values.stem == "passwords"  # its Secret is the user's


def test_levels_and_formats_of_the_log():
    log = SCHEMA["properties"]["log"]["properties"]
    assert set(log["level"]["enum"]) == set(LEVELS)
    assert set(log["format"]["enum"]) == set(FORMATS)


def test_no_label_is_taken_by_targets():
    labels = {label for metric in definitions.METRICS for label in metric.labels}
    assert labels
    assert not labels & {"pod", "namespace", "container", "endpoint", "service", "node", "job", "instance"}


def test_every_value_is_described_and_in_the_schema():
    described = set(
        re.findall(r"^\| `([^`]+)` \|", generate().table((CHART / "values.yaml").read_text()), re.MULTILINE)
    )
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    leaves = set(_described(values, SCHEMA))
    assert leaves == described
    assert set(SCHEMA["properties"]) == {*values, "global", "enabled"}


def _described(values, schema, prefix=""):
    """Yield the paths of values; descend into mappings whose keys the schema lists."""
    for key, value in values.items():
        inner = schema["properties"][key]
        inner = SCHEMA["definitions"][inner["$ref"].rpartition("/")[2]] if "$ref" in inner else inner
        if isinstance(value, dict) and "properties" in inner and not key.startswith("updateStrategy"):
            yield from _described(value, inner, f"{prefix}{key}.")
        else:
            yield prefix + key


def test_the_readme_has_every_value():
    generated = generate()
    text = generated.README.read_text("utf-8")
    assert generated.readme(text) == text, "run make docs"


def test_the_manifest_is_the_rendered_chart():
    generated = generate()
    assert generated.manifest(str(HELM)) == generated.MANIFEST.read_text("utf-8"), "run make docs"
    objects = list(yaml.safe_load_all(generated.MANIFEST.read_text("utf-8")))
    assert [one["kind"] for one in objects] == ["Namespace", "ServiceAccount", "Service", "DaemonSet"]
    assert "helm" not in generated.MANIFEST.read_text("utf-8").lower().replace("without helm", "")


def test_a_package_of_a_clean_checkout_is_complete(tmp_path):
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", ROOT, clone], check=True)
    helm("package", str(clone / "helm/exec-exporter"), f"--destination={tmp_path}")
    package = tmp_path / f"exec-exporter-{_chart_version()}.tgz"
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    subprocess.run(["tar", "-xzf", package, "-C", unpacked], check=True)
    for part, pattern in (("rules", "*.yaml"), ("grafana", "*.json")):
        ours = {file.name: file.read_bytes() for file in (clone / "dashboards" / part).glob(pattern)}
        theirs = unpacked / "exec-exporter/files" / part
        assert ours
        assert {file.name: file.read_bytes() for file in theirs.glob(pattern)} == ours
        assert not theirs.is_symlink()
    everything = f"--values={clone / VALUES.relative_to(ROOT) / 'everything.yaml'}"
    assert template(everything, chart=package) == template(everything, chart=clone / "helm/exec-exporter")


def _chart_version():
    return yaml.safe_load((CHART / "Chart.yaml").read_text())["version"]
