"""A systemd as process 1 of its own namespaces, with the exporter installed by `make install`.

Its changes in /etc, /usr/local, /opt, /var/cache and /var/lib are discarded; it cannot change /proc/sys and the rest of
/sys. Network, kernel and everything else are this machine's.
"""

import os
import shutil
import signal
import subprocess
from contextlib import contextmanager
from pathlib import Path

from tests.waiting import until

REPOSITORY = Path(__file__).parents[2]
SYSTEMD = "/lib/systemd/systemd"
UNIT = "exec_exporter.service"
DEADLINE_SECONDS = 240

START = """
set -e
mount -t tmpfs tmpfs "$BOX"
for directory in etc usr/local opt var/cache var/lib; do
    mkdir -p "$BOX/upper/$directory" "$BOX/work/$directory"
    mount -t overlay overlay /$directory \
        -o "lowerdir=/$directory,upperdir=$BOX/upper/$directory,workdir=$BOX/work/$directory"
done
mount -t proc proc /proc
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
umount -R /sys/fs/cgroup
mount -o remount,bind,ro /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs tmpfs /run
make --no-print-directory -C "$REPOSITORY" install
# What comes before services on a machine, such as udev and swap, is not for a box.
mkdir -p /run/systemd/system/exec_exporter.service.d
printf '[Unit]\nDefaultDependencies=no\n[Service]\nStandardError=append:%s\n' "$LOG" \
    > /run/systemd/system/exec_exporter.service.d/box.conf
echo "ARGS=$ARGS" > /etc/default/exec_exporter
exec env -i container=exec_exporter-test PATH="$PATH" SYSTEMD --unit=exec_exporter.service --log-level=warning
""".replace("SYSTEMD", SYSTEMD)


class Box:
    def __init__(self, process, cgroup, log):
        self._process, self._cgroup, self._log = process, cgroup, log

    def run(self, *command):
        """Run a command in the box; return its status and output."""
        init = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()[0]
        result = subprocess.run(
            ["nsenter", f"--target={init}", "--mount", "--pid", "--root", "--", *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=DEADLINE_SECONDS,
            check=False,
        )
        return result.returncode, result.stdout

    @property
    def pid(self):
        """Return the pid of the exporter, or None."""
        file = self._cgroup / "system.slice" / UNIT / "cgroup.procs"
        return next(map(int, file.read_text().split()), None) if file.exists() else None

    def log(self):
        """Return the log of the exporter."""
        return self._log.read_text() if self._log.exists() else ""


def missing():
    """Return the reason why this machine cannot run a box, or an empty string."""
    if os.geteuid():
        return f"a systemd of its own needs root, this is uid {os.geteuid()}"
    if not Path(SYSTEMD).exists():
        return f"there is no {SYSTEMD}"
    return "" if _cgroup2() else "no cgroup2 is mounted: " + Path("/proc/self/cgroup").read_text()


@contextmanager
def box(directory, *arguments):
    """Install the service and run it with these arguments until the end of the block."""
    cgroup = _cgroup2() / f"exec_exporter-test-{os.getpid()}"
    cgroup.mkdir()
    log, said = directory / "log", directory / "said"
    (directory / "box").mkdir()
    environment = {"BOX": str(directory / "box"), "LOG": str(log), "ARGS": " ".join(arguments)}
    environment |= {"REPOSITORY": str(REPOSITORY), "START": START, "CGROUP": str(cgroup)}
    namespaces = "unshare --mount --pid --fork --uts --ipc --cgroup --kill-child"
    with said.open("w") as output:
        process = subprocess.Popen(
            ["sh", "-c", f'echo $$ > "$CGROUP/cgroup.procs" && exec {namespaces} sh -c "$START"'],
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        started = Box(process, cgroup, log)
        until(lambda: _serves(started, process), DEADLINE_SECONDS, what=said.read_text)
        assert process.poll() is None, said.read_text()
        yield started
    finally:
        process.send_signal(signal.SIGKILL)  # ends process 1, and with it everything in the box
        process.wait()
        _remove(cgroup)
        shutil.rmtree(directory / "box", ignore_errors=True)


def _serves(started, process):
    return "serving http" in started.log() or process.poll() is not None


def _cgroup2():
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    return next((Path(where) for _, where, kind, *_ in mounts if kind == "cgroup2"), None)


def _remove(cgroup):

    def removed():
        for directory, _, _ in os.walk(cgroup, topdown=False):
            Path(directory).rmdir()
        return not cgroup.exists()

    until(removed, DEADLINE_SECONDS, what="the processes of the box have ended", not_yet=OSError)
