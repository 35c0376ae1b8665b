"""The exporter with pins of a test's own, in a bpffs mounted for it."""

import subprocess
from contextlib import contextmanager

from tests.kernel.command import COMMAND, served
from tests.scraped import Scraped

PROGRAMS = "exec_executions_total"


@contextmanager
def bpffs(directory):
    """Mount a bpffs; its pins are gone afterwards."""
    directory.mkdir()
    subprocess.run(["mount", "-t", "bpf", "bpf", directory], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", directory], check=True)


def samples(service, below=""):
    """Return the samples of a scrape without a path, or with a path of that prefix: there may be very many others."""
    return Scraped(service.get().decode(), below).all


def executed(service, below):
    """Return executions by path, of paths with that prefix."""
    found = {}
    for sample in samples(service, below):
        if sample.name == PROGRAMS:
            found[sample.labels["path"]] = found.get(sample.labels["path"], 0) + sample.value
    return found


def value(service, name, **labels):
    """Return the sum of the samples of a metric with these labels."""
    return Scraped(service.get().decode(), labels.get("path", "no path")).value(name, **labels)


def pinning(path, *arguments, **options):
    """Start the service with pins in a directory, and without a limit of series that other programs could exhaust."""
    return served(f"--bpf.pin-path={path}", "--series.limit=1000000", *arguments, **options)


def unpin(path, status=0):
    """Run the command; return its output, or its standard error if it fails."""
    command = [*COMMAND, "unpin", f"--bpf.pin-path={path}"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert result.returncode == status, result.stderr
    return result.stderr if status else result.stdout
