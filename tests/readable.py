"""The exporter where every user can read it: the checkout may lie in a home that others must not enter."""

import functools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import distribution, requires
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
PYTHON = os.path.realpath(sys.executable)


def command(python=PYTHON):
    """Return the command `exec_exporter`, as any user can run it."""
    return ["env", f"PYTHONPATH={_copy().name}", str(python), "-P", "-m", "exporter"]


@functools.cache
def _copy():
    """Copy the exporter and the packages that it needs, once; the directory is gone when this process ends."""
    directory = tempfile.TemporaryDirectory(prefix="exec_exporter-readable-")
    for name in ("exporter", "bpf"):
        shutil.copytree(CHECKOUT / name, Path(directory.name, name))
    for requirement in requires("exec-exporter"):
        if "extra ==" not in requirement:
            _copy_package(distribution(re.match(r"[\w-]+", requirement)[0]), Path(directory.name))
    subprocess.run(["chmod", "-R", "a+rX", directory.name], check=True)
    return directory


def _copy_package(package, directory):
    """Copy a package's files out of the virtual environment; what the system has, every user can read."""
    for file in package.files:
        source, target = Path(file.locate()), directory / file
        if source.is_relative_to(sys.prefix) and ".." not in file.parts and source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
