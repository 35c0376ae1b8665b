"""Debian's archive, accessed through apt with a configuration of its own; this machine's packages stay as they are."""

import os
import re
import subprocess
from pathlib import Path

SUITES = (
    ("debian", "bullseye"),
    ("debian-security", "bullseye-security"),
    ("debian", "bookworm"),
    ("debian-security", "bookworm-security"),
    ("debian", "bookworm-backports"),
    ("debian", "trixie"),
    ("debian-security", "trixie-security"),
    ("debian", "trixie-backports"),
)
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_URI = re.compile(r"^(?:URIs:\s*|deb\s+(?:\[[^]]*\]\s+)?)(\w+://\S+?)/?(?:\s|$)", re.MULTILINE)


class ArchiveError(RuntimeError):
    """The archive lacks the package, or cannot be reached."""


def mirrors(sources=Path("/etc/apt")):
    """Return where the apt of this machine finds the archives `debian` and `debian-security`, by name."""
    files = [sources / "sources.list", *sorted((sources / "sources.list.d").glob("*"))]
    text = "\n".join(file.read_text() for file in files if file.is_file())
    found = {uri.rsplit("/", 1)[-1]: uri for uri in reversed(_URI.findall(text))}
    if "debian" not in found:
        raise ArchiveError(f"no mirror of Debian's archive in {sources}: kernels are fetched as Debian's packages")
    found.setdefault("debian-security", found["debian"] + "-security")
    return found


class Archive:
    """The packages of one architecture in all suites that have kernels. State and downloads are in `directory`."""

    def __init__(self, directory, arch):
        self._directory = directory / arch
        self._environment = {**os.environ, "APT_CONFIG": str(self._directory / "apt.conf"), "LC_ALL": "C"}
        for part in ("empty", "state/lists/partial", "cache/archives/partial"):
            (self._directory / part).mkdir(parents=True, exist_ok=True)
        (self._directory / "state/status").touch()
        found = mirrors()
        lines = [f"deb [signed-by={KEYRING}] {found[archive]} {suite} main\n" for archive, suite in SUITES]
        (self._directory / "sources.list").write_text("".join(lines))
        (self._directory / "apt.conf").write_text(self._configuration(arch))

    def _configuration(self, arch):
        here = self._directory
        return f"""\
Dir::Etc::main "/dev/null";
Dir::Etc::parts "{here}/empty";
Dir::Etc::sourcelist "{here}/sources.list";
Dir::Etc::sourceparts "{here}/empty";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "{here}/empty";
Dir::State "{here}/state";
Dir::State::status "{here}/state/status";
Dir::Cache "{here}/cache";
APT::Architecture "{arch}";
APT::Architectures {{ "{arch}"; }};
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "3";
"""

    def _run(self, *command, **options):
        result = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False, **options)
        if result.returncode:
            raise ArchiveError(f"{' '.join(command)}: {result.stderr.strip()}")
        return result.stdout

    def update(self):
        """Update the lists of packages."""
        self._run("apt-get", "update", "-qq")

    def names(self, prefix):
        """Return the names of all packages with this prefix."""
        return self._run("apt-cache", "pkgnames", prefix).split()

    def unpack(self, names, directory):
        """Download packages and unpack them into `directory`."""
        downloads = directory / "deb"
        downloads.mkdir()
        self._run("apt-get", "download", "-qq", *names, cwd=downloads)
        packages = sorted(downloads.glob("*.deb"))
        if len(packages) != len(names):
            raise ArchiveError(f"of {' '.join(names)} the archive gave {len(packages)} packages")
        for package in packages:
            self._run("dpkg-deb", "--extract", str(package), str(directory / "root"))
            package.unlink()
