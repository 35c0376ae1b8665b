"""The exporter with pins of a test's own, in a bpffs that is mounted for it."""

import subprocess
from contextlib import contextmanager

from tests.kernel.command import COMMAND, served
from tests.scraped import Scraped

PROGRAMS = "exec_executions_total"


@contextmanager
def bpffs(directory):
    """A bpffs; whatever is pinned in it is gone afterwards."""
    directory.mkdir()
    subprocess.run(["mount", "-t", "bpf", "bpf", directory], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", directory], check=True)


def samples(service, below=""):
    """The samples of a scrape that have no path, or one that begins so: others execute very many programs."""
    return Scraped(service.get().decode(), below).all


def executed(service, below):
    """Executions by path, of the paths that begin so."""
    found = {}
    for sample in samples(service, below):
        if sample.name == PROGRAMS:
            found[sample.labels["path"]] = found.get(sample.labels["path"], 0) + sample.value
    return found


def value(service, name, **labels):
    """The sum of the samples of that name that have those labels."""
    return Scraped(service.get().decode(), labels.get("path", "no path")).value(name, **labels)


def pinning(path, *arguments, **options):
    """The service, with pins in a directory, and no limit of series that others could use up."""
    return served(f"--bpf.pin-path={path}", "--series.limit=1000000", *arguments, **options)


def unpin(path, status=0):
    """Runs the command; returns what it said."""
    command = [*COMMAND, "unpin", f"--bpf.pin-path={path}"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert result.returncode == status, result.stderr
    return result.stderr if status else result.stdout
