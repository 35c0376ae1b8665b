"""Compile the parts of a Kubernetes node and of the Prometheus Operator: python -m tests.cluster.compile

Go modules are compiled into the user's cache, once; it takes a quarter of an hour on two cores.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.tools.go import go, run_go
from tests.vm.kernels import CACHE

DIRECTORY = CACHE / "cluster"
BIN = DIRECTORY / "bin"
KUBERNETES = "1.35.4"
OPERATOR, PROMETHEUS = "github.com/prometheus-operator/prometheus-operator", "github.com/prometheus/prometheus"
COREDNS = "github.com/coredns/coredns@v1.15.0"


@dataclass(frozen=True)
class Program:
    """A command of a module that replaces modules by directories, which `go install` rejects."""

    module: str
    version: str
    name: str
    tags: str = ""
    ldflags: str = "-s -w"


def _kubernetes(name):
    major, minor, _ = KUBERNETES.split(".")
    said = {"gitVersion": f"v{KUBERNETES}", "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    values = " ".join(f"-X k8s.io/component-base/version.{key}={value}" for key, value in said.items())
    return Program("k8s.io/kubernetes", f"v{KUBERNETES}", name, ldflags=f"-s -w {values}")


NODE = ("kube-apiserver", "kubectl", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")
PROGRAMS = [
    *map(_kubernetes, NODE),
    Program(OPERATOR, "v0.85.0", "operator"),
    Program(PROMETHEUS, "v0.316.0", "prometheus", tags="remove_all_sd,enable_kubernetes_sd"),
]


def build(program):
    """Compile a program in a module that requires its module and has the replaced modules as released with it."""
    work = DIRECTORY / "src" / program.module
    if not (work / "go.mod").exists():
        _prepare(program, work)
    flags = [f"-tags={program.tags}", f"-ldflags={program.ldflags}", f"-o={work / program.name}"]
    run_go("-C", str(work), "build", *flags, f"{program.module}/cmd/{program.name}")
    (work / program.name).rename(BIN / program.name)


def _prepare(program, work):
    work.mkdir(parents=True, exist_ok=True)
    source = _download(program.module, program.version)
    text = (source / "go.mod").read_text()
    lines = ["module local/build", *re.findall(r"^go .*", text, re.MULTILINE)]
    lines.append(f"require {program.module} {program.version}")
    for module, directory in re.findall(r"^\s*(?:replace )?(\S+) => (\./\S*)", text, re.MULTILINE):
        released = program.version.replace("v1.", "v0.") if "/staging/" in directory else program.version
        lines.append(f"replace {module} => {module} {released}")
    imports = "".join(f'\t_ "{program.module}/cmd/{one.name}"\n' for one in PROGRAMS if one.module == program.module)
    (work / "tools.go").write_text(f"//go:build tools\n\npackage tools\n\nimport (\n{imports})\n")
    shutil.copyfile(source / "go.sum", work / "go.sum")
    (work / "go.mod").write_text("\n".join(lines) + "\n")
    run_go("-C", str(work), "mod", "tidy", "-e", GOFLAGS="-mod=mod")


def _download(module, version):
    with tempfile.TemporaryDirectory() as nowhere:
        command = [go(), "mod", "download", "-json", f"{module}@{version}"]
        said = subprocess.run(command, cwd=nowhere, capture_output=True, text=True, check=True).stdout
    return Path(json.loads(said)["Dir"])


def main():
    """Compile the programs that are missing."""
    BIN.mkdir(parents=True, exist_ok=True)
    for program in PROGRAMS:
        if not (BIN / program.name).exists():
            print(f"compiling {program.name} {program.version}", file=sys.stderr, flush=True)
            build(program)
    if not (BIN / "coredns").exists():
        print(f"compiling {COREDNS}", file=sys.stderr, flush=True)
        run_go("install", COREDNS, GOBIN=str(BIN))


if __name__ == "__main__":
    main()
