"""Debian's packages, unpacked but not installed, so that none of their services is started."""

import functools
import os
import subprocess
from pathlib import Path

ROOT = Path(".cache/bench").resolve()


@functools.cache
def unpacked(*names):
    """Unpack packages, with dependencies that are not installed, into a directory; return it."""
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
    """Return the environment in which unpacked programs find their libraries."""
    libraries = [str(path) for place in ("usr/lib", "lib") for path in (root / place).glob("*-linux-gnu")]
    return {**os.environ, "LD_LIBRARY_PATH": ":".join(libraries)}


def command(root, name):
    """Return the path of an unpacked program, or of the installed one, or None."""
    for base in (root, Path("/")):
        for directory in ("usr/bin", "usr/sbin", "bin", "sbin"):
            if (base / directory / name).exists():
                return base / directory / name
    return None
