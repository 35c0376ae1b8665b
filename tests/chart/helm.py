"""Helm, and the objects that it renders from the chart."""

import functools
import subprocess
from pathlib import Path

import yaml

from tests.tools.go import HELM

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm/exec-exporter"
VALUES = Path(__file__).parent / "values"
OLDEST, NEWEST = "1.25", "1.37"


class HelmError(Exception):
    """Helm failed; holds its standard error."""


def helm(*arguments):
    result = subprocess.run([HELM, *arguments], capture_output=True, text=True, check=False)
    if result.returncode:
        raise HelmError(result.stderr)
    return result.stdout


def template(*arguments, kubernetes=NEWEST, chart=CHART, namespace="exec-exporter"):
    """Return the objects of a release `exec-exporter`, by kind and name."""
    options = [f"--namespace={namespace}", f"--kube-version={kubernetes}"]
    made = yaml.load_all(_rendered(str(chart), *options, *arguments), yaml.CSafeLoader)
    return {(one["kind"], one["metadata"]["name"]): one for one in made if one}


@functools.cache
def _rendered(chart, *arguments):
    return helm("template", "exec-exporter", chart, *arguments)


def settings(*pairs):
    """Return `--set-json` arguments, one per pair."""
    return [part for pair in pairs for part in ("--set-json", pair)]


def daemonset(*pairs, **options):
    return template(*settings(*pairs), **options)["DaemonSet", "exec-exporter"]


def pod(*pairs, **options):
    return daemonset(*pairs, **options)["spec"]["template"]["spec"]


def container(*pairs, **options):
    return pod(*pairs, **options)["containers"][0]
