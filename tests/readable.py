"""A copy of the exporter that every user can read; the checkout may be in a home directory closed to others."""

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
    """Copy the exporter and its dependencies, once; the directory is removed when this process ends."""
    directory = tempfile.TemporaryDirectory(prefix="exec_exporter-readable-")
    for name in ("exporter", "bpf"):
        shutil.copytree(CHECKOUT / name, Path(directory.name, name))
    for requirement in requires("exec-exporter"):
        if "extra ==" not in requirement:
            _copy_package(distribution(re.match(r"[\w-]+", requirement)[0]), Path(directory.name))
    subprocess.run(["chmod", "-R", "a+rX", directory.name], check=True)
    return directory


def _copy_package(package, directory):
    """Copy the files of a package out of the virtual environment; packages of the system are readable by everybody."""
    for file in package.files:
        source, target = Path(file.locate()), directory / file
        if source.is_relative_to(sys.prefix) and ".." not in file.parts and source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
