"""Programs that report executions: ours, and Debian's, which are unpacked and run in place."""

import re
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench import packages
from tests.kernel.command import served

TRACEFS = Path("/sys/kernel/tracing")
READY_SECONDS, DONE_SECONDS, DEADLINE_SECONDS = 5, 2, 30
BY_COMM = "tracepoint:sched:sched_process_exec { @[comm] = count(); }"
AUDITD_CONF = """
local_events = yes
log_file = {directory}/audit.log
log_group = root
log_format = RAW
flush = NONE
max_log_file = 999
space_left = 2
space_left_action = IGNORE
admin_space_left = 1
admin_space_left_action = IGNORE
disk_full_action = IGNORE
disk_error_action = IGNORE
plugin_dir = {directory}/plugins
q_depth = 20000
overflow_action = IGNORE
"""
AUDIT_RULE = ["-a", "always,exit", "-F", "arch=b64", "-S", "execve", "-S", "execveat"]


@dataclass(frozen=True)
class Observer:
    """`start()` runs the program and returns its pid; `seen()` then returns how many executions it has reported."""

    name: str
    start: Callable[[], AbstractContextManager[int]]
    seen: Callable[[], int]


def observers(directory, name):
    """Yield the observers that this machine has, for a program of that name; they write to the directory."""
    yield _exec_exporter(directory, name)
    lines, by_comm = re.compile(rf"\b{name}\b"), re.compile(rf"@\[{name}\]: (\d+)")

    def named(output):
        return len(lines.findall(output))

    def recorded(_):
        root = packages.unpacked("linux-perf")
        script = [packages.command(root, "perf"), "script", "-i", directory / "perf.data", "-F", "comm,event"]
        done = subprocess.run(script, env=packages.environment(root), capture_output=True, text=True, check=False)
        return named(done.stdout)

    def audited(_):
        return sum(f'comm="{name}"' in line for line in (directory / "audit.log").open(errors="replace"))

    perf = ["record", "-a", "-q", "-e", "sched:sched_process_exec", "-o", directory / "perf.data"]
    (directory / "plugins").mkdir()
    (directory / "auditd.conf").write_text(AUDITD_CONF.format(directory=directory), "utf-8")
    tools = (
        ("bpftrace, counting by comm", "bpftrace", "bpftrace", ["-e", BY_COMM], lambda s: _number(by_comm.search(s))),
        ("bpftrace's execsnoop.bt", "bpftrace", "execsnoop.bt", [], named),
        ("libbpf-tools' execsnoop", "libbpf-tools", "execsnoop", [], named),
        ("perf record", "linux-perf", "perf", perf, recorded),
        ("forkstat", "forkstat", "forkstat", ["-e", "exec"], named),
        ("auditd", "auditd", "auditd", ["-n", "-c", directory], audited),
    )
    for title, package, command, arguments, seen in tools:
        output = directory / title
        start = _audited if command == "auditd" else _tool
        yield Observer(
            title,
            lambda start=start, args=(package, command, arguments, output): start(*args),
            lambda seen=seen, output=output: seen(output.read_text("utf-8", "replace")),
        )


def _number(found):
    return int(found[1]) if found else 0


def _exec_exporter(directory, name):
    said = []
    counted = re.compile(rf'^exec_executions_total{{[^}}]*/{name}"[^}}]*}} ([0-9.]+)', re.MULTILINE)

    @contextmanager
    def start():
        with served(f"--catalogue.path={directory}/catalogue.db") as exporter:
            time.sleep(READY_SECONDS)  # as for the others; it reads running processes first
            yield exporter.process.pid
            said[:] = [exporter.get().decode()]

    return Observer("exec_exporter", start, lambda: sum(map(float, counted.findall(said[0]))))


@contextmanager
def _tool(package, name, arguments, output):
    """Run a tool that has had time to attach; end it with SIGINT, as a user would."""
    root = packages.unpacked(package)
    path = packages.command(root, name)
    if path is None:
        raise OSError(f"{package} has no {name}")
    command = [packages.command(root, "bpftrace"), path] if path.suffix == ".bt" else [path, *arguments]
    with output.open("wb") as file:
        environment = packages.environment(root)
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT
        )
        try:
            time.sleep(READY_SECONDS)  # none of them reports that it is ready
            if process.poll() is not None:
                raise OSError(output.read_text("utf-8", "replace")[-300:].strip() or "it ended at once")
            yield process.pid
            time.sleep(DONE_SECONDS)  # for records under way
        finally:
            process.send_signal(signal.SIGINT if name != "auditd" else signal.SIGTERM)
            try:
                process.wait(DEADLINE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def _audited(package, name, arguments, output):
    """Run the daemon with a rule for every execution; restore the state of auditing afterwards."""
    root = packages.unpacked(package)

    def auditctl(*words):
        command = [packages.command(root, "auditctl"), *words]
        done = subprocess.run(command, env=packages.environment(root), capture_output=True, text=True, check=False)
        if done.returncode:
            raise OSError(f"auditctl {' '.join(words)}: {(done.stderr or done.stdout).strip()}")
        return done.stdout

    before = auditctl("-s")
    if "pid 0" not in before or "enabled 0" not in before:
        raise OSError("auditing is in use here")
    with _tool(package, name, arguments, output) as pid:
        try:
            auditctl("-b", "65536")
            auditctl(*AUDIT_RULE)
            yield pid
        finally:
            auditctl("-D")
    auditctl("-e", "0")
    auditctl("-b", re.search(r"backlog_limit (\d+)", before)[1])
