"""Debian's packages, unpacked and not installed: nothing that they bring is started or stays."""

import functools
import os
import subprocess
from pathlib import Path

ROOT = Path(".cache/bench").resolve()


@functools.cache
def unpacked(*names):
    """The directory into which packages and what they need beside what is installed are unpacked."""
    root = ROOT / "-".join(names)
    if (root / "complete").exists():
        return root
    archives = root / "archives"
    (archives / "partial").mkdir(parents=True, exist_ok=True)
    options = ["-o", f"Dir::Cache::archives={archives}", "--download-only", "--no-install-recommends", "--yes"]
    download = ["apt-get", *options, "-qq", "install", *names]
    if subprocess.run(download, capture_output=True, check=False).returncode:
        subprocess.run(["apt-get", "update", "-qq"], check=True, capture_output=True)
        subprocess.run(download, check=True, capture_output=True)
    for archive in archives.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", archive, root], check=True)
        archive.unlink()
    (root / "complete").touch()
    return root


def environment(root):
    """What lets unpacked programs find their libraries."""
    libraries = [str(path) for place in ("usr/lib", "lib") for path in (root / place).glob("*-linux-gnu")]
    return {**os.environ, "LD_LIBRARY_PATH": ":".join(libraries)}


def command(root, name):
    """The path of an unpacked program, or of the one that is installed; None: there is none."""
    for base in (root, Path("/")):
        for directory in ("usr/bin", "usr/sbin", "bin", "sbin"):
            if (base / directory / name).exists():
                return base / directory / name
    return None
