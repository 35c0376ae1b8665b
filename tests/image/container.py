"""Containers under runc, and requests to them."""

import json
import subprocess
import sys
import time
from contextlib import contextmanager

from tests.waiting import until

DEADLINE_SECONDS = 240
# Runs in the network namespace of the container: prints the status, then the body.
ASK = """
import ssl, sys, urllib.error, urllib.request
anyone = ssl.create_default_context()
anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
try:
    answer = urllib.request.urlopen(sys.argv[1], timeout=120, context=anyone)
except urllib.error.HTTPError as error:
    answer = error
print(answer.status)
sys.stdout.buffer.write(answer.read())
"""


class Container:
    """A running container. `name` is its identifier in runc."""

    def __init__(self, name, process):
        self.name = name
        self.process = process

    @property
    def pid(self):
        """Return the host's pid of its first process; raise OSError while there is none."""
        result = subprocess.run(["runc", "state", self.name], capture_output=True, check=False)
        if result.returncode:
            raise OSError(result.stderr.decode())
        return json.loads(result.stdout)["pid"]

    def ask(self, url):
        """Return the status and the body of a response; raise OSError if there is none."""
        command = ["nsenter", f"--target={self.pid}", "--net", sys.executable, "-c", ASK, url]
        result = subprocess.run(command, capture_output=True, timeout=DEADLINE_SECONDS, check=False)
        if result.returncode:
            raise OSError(result.stderr.decode())
        status, _, body = result.stdout.partition(b"\n")
        return int(status), body.decode()

    def until(self, condition, seconds=DEADLINE_SECONDS):
        """Wait for a condition as long as the container lives; an OSError counts as false."""

        def alive_and_so():
            assert self.process.poll() is None, f"it ended: {self.process.stderr.read()}"
            return condition()

        return until(alive_and_so, seconds, not_yet=OSError)


def runc(*arguments, **options):
    return subprocess.run(["runc", *arguments], capture_output=True, text=True, check=True, **options)


def write(specification, directory):
    (directory / "config.json").write_text(json.dumps(specification))


@contextmanager
def running(name, specification, directory):
    """Start a container; kill it at the end if it still runs."""
    write(specification, directory)
    process = subprocess.Popen(
        ["runc", "run", "--bundle", directory, name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield Container(name, process)
    finally:
        while process.poll() is None:  # the container may not exist yet
            subprocess.run(["runc", "delete", "--force", name], capture_output=True, check=False)
            time.sleep(0.1)
        process.communicate()


def ended(name, specification, directory):
    """Run a container that must end; return its status and output."""
    write(specification, directory)
    command = ["runc", "run", "--bundle", directory, name]
    result = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False)
    return result.returncode, result.stdout, result.stderr
