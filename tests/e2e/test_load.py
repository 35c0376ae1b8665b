"""Scrapes go on beside hostile or very many clients, and nothing of these clients stays.

All traffic is on the loopback device, and bounded in number and time.
"""

import contextlib
import os
import re
import resource
import select
import socket
import subprocess
import sys
import threading
import time

import psutil
import pytest

from exporter.web.server import MAX_CONNECTIONS, OTHER_DESCRIPTORS
from tests.kernel.command import served
from tests.kernel.programs import execute, static_elf
from tests.repetition import repetitions

PROGRAMS = 50  # each has some 17 samples, 2 kB
SLOW, UNREAD, IDLE = 500, 100, 1000
REQUESTS = repetitions(3000, exhaustive=10_000)
IDLE_SECONDS = 4
DEADLINE_SECONDS = 240
MOST_MEMORY_UNDER_LOAD = 64 << 20  # for 1,024 connections at most, and 32 MiB of answers
MOST_MEMORY_LEFT = 8 << 20  # by the second round: the first one extends the heap

GARBAGE = [
    os.urandom(20_000),
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(512),
    b"GET /metrics HTTP/1.1\r\n" + b"X: " + b"y" * 100_000 + b"\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
    b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
    b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(200),
    bytes(4096),
]
WHOLE = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"

pytestmark = pytest.mark.usefixtures("probes")


@pytest.fixture(autouse=True)
def _descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, hard), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Scraper(threading.Thread):
    """A thread that scrapes, as Prometheus does, until `stop`; `failures` and `answers` are valid after that."""

    def __init__(self, exporter):
        super().__init__()
        self._exporter, self._stop_asking = exporter, threading.Event()
        self.failures, self.answers = [], 0

    def run(self):
        while not self._stop_asking.wait(0.1):
            try:
                assert b"\nexec_exporter_probe_attached 1.0\n" in self._exporter.get()
                self.answers += 1
            except Exception as error:  # noqa: BLE001 - the test checks them
                self.failures.append(error)

    def stop(self):
        self._stop_asking.set()
        self.join()


class Watch(threading.Thread):
    """A thread that records the most memory and descriptors of a process until `stop`."""

    def __init__(self, process):
        super().__init__()
        self._process, self._stop_looking = process, threading.Event()
        self.memory = self.descriptors = 0

    def run(self):
        while not self._stop_looking.wait(0.05):
            self.memory = max(self.memory, self._process.memory_info().rss)
            self.descriptors = max(self.descriptors, self._process.num_fds())

    def stop(self):
        self._stop_looking.set()
        self.join()


def rest(exporter, process, than=None):
    """Return memory, descriptors and threads at rest: the least of 50 readings, or more until none exceeds `than`."""
    end, readings = time.monotonic() + DEADLINE_SECONDS, []
    while True:
        exporter.get()
        readings.append((process.memory_info().rss, process.num_fds(), process.num_threads()))
        least = tuple(min(column) for column in zip(*readings, strict=True))
        if len(readings) >= 50 and all(now <= most for now, most in zip(least, than or least, strict=True)):
            return least
        assert time.monotonic() < end, f"at rest it has {least}, more than {than}"


def connected(exporter, count, say):
    """Return connections that have sent `say(number)` and wait. The server may have closed some already."""
    host, port = exporter.url.removeprefix("http://").split(":")
    clients = []
    for number in range(count):
        client = socket.create_connection((host, int(port)), timeout=120)
        client.setblocking(False)
        clients.append(client)
        with contextlib.suppress(OSError):
            client.send(say(number))
    return clients


def half_a_request(number):
    return [b"", b"G", WHOLE[:-4], WHOLE[:20]][number % 4]


def one_byte_more(clients):
    for client in clients:
        with contextlib.suppress(OSError):
            client.send(b"x")


def a_storm_of_requests(exporter, path, connections):
    """Return how many requests of wrk were answered in some seconds, and its line on errors."""
    options = ["--threads=2", f"--connections={connections}", "--duration=3s", "--timeout=20s"]
    said = subprocess.run(["wrk", *options, exporter.url + path], capture_output=True, text=True, check=True).stdout
    errors = re.search(r"(Non-2xx|Socket errors).*", said)
    return int(re.search(r"(\d+) requests in", said)[1]), errors[0] if errors else ""


@contextlib.contextmanager
def clients_of_every_kind(exporter):
    """Keep some 1,800 clients connected that are slow, never read, send nothing, or send garbage."""
    slow = connected(exporter, SLOW, half_a_request)
    others = connected(exporter, UNREAD, lambda _: WHOLE * 20)
    others += connected(exporter, IDLE, lambda _: b"")
    others += connected(exporter, 20 * len(GARBAGE), lambda number: GARBAGE[number % len(GARBAGE)])
    try:
        yield slow
    finally:
        for client in (*slow, *others):
            client.close()


def one_round(exporter):
    """Scrape REQUESTS times beside clients of every kind; one scraper among them is never refused."""
    scraper = Scraper(exporter)
    with clients_of_every_kind(exporter) as slow:
        scraper.start()
        try:
            answered, end = 0, time.monotonic() + DEADLINE_SECONDS
            while answered < REQUESTS:
                assert time.monotonic() < end, f"{answered} requests answered in {DEADLINE_SECONDS} s"
                one_byte_more(slow)
                more, errors = a_storm_of_requests(exporter, "/metrics", 30)
                assert errors == ""
                answered += more
        finally:
            scraper.stop()
        assert scraper.failures == []
        assert scraper.answers > 10


def test_scrapes_go_on_and_nothing_stays(tmp_path):
    programs = [static_elf(tmp_path / f"elf-{n}", salt=n.to_bytes(2, "little")) for n in range(PROGRAMS)]
    with served(f"--web.idle-timeout={IDLE_SECONDS}", "--web.max-requests=0") as exporter:
        for program in programs:
            execute(program)
        process = psutil.Process(exporter.process.pid)
        _, descriptors, threads = rest(exporter, process)
        watch = Watch(process)
        watch.start()
        try:
            one_round(exporter)
            memory, *_ = rest(exporter, process, (sys.maxsize, descriptors, threads))
            one_round(exporter)
        finally:
            watch.stop()
        assert watch.descriptors <= MAX_CONNECTIONS + OTHER_DESCRIPTORS
        assert watch.memory < memory + MOST_MEMORY_UNDER_LOAD
        rest(exporter, process, (memory + MOST_MEMORY_LEFT, descriptors, threads))


def test_malformed_requests_are_not_logged():
    with served() as exporter:
        clients = connected(exporter, 200, lambda number: GARBAGE[number % len(GARBAGE)])
        exporter.get()
        for client in clients:
            client.close()
        exporter.get()
        assert not select.select([exporter.process.stderr], [], [], 0)[0]
