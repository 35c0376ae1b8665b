"""Mixed work of a few seconds, with something for every series that a dashboard queries."""

import os
import signal
import socket
import subprocess
import threading
from contextlib import contextmanager
from pathlib import Path

from tests.kernel.programs import dynamic_elf, execute, script, static_elf


class Workload:
    """Work that can be repeated; its programs are in a directory of its own."""

    def __init__(self, directory):
        self._static = static_elf(directory / "static")
        self._dynamic = dynamic_elf(directory / "dynamic")
        self._script = script(directory / "script")
        self._refused = directory / "no-program"
        self._refused.write_text("no program")
        self._refused.chmod(0o755)

    def round(self):
        for program in (self._static, self._dynamic, self._script):
            execute(program, 3)
        read, write = os.pipe()
        execute(self._dynamic, stdin=read)
        os.close(read)
        os.close(write)
        subprocess.run(["/bin/sh", "-c", "exit 3"], check=False)
        subprocess.run(["/bin/sh", "-c", f"kill -{signal.SIGKILL} $$"], check=False)
        for missing in ("/no/such/program", self._refused):
            try:
                os.posix_spawn(missing, [b"x"], {})
            except OSError:
                continue
            raise AssertionError(missing)
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()


@contextmanager
def goes_on(directory):
    """Repeat the work, with pauses, until the end of the block; one process runs all the time."""
    workload, stop = Workload(directory), threading.Event()

    def run():
        while not stop.wait(0.2):
            workload.round()

    thread = threading.Thread(target=run)
    with subprocess.Popen(["sleep", "300"]) as sleeper:
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            sleeper.kill()


def shell_on_a_socket(command):
    """Do as a reverse shell does: run a shell that reads commands from a socket. Return its path."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        theirs = socket.create_connection(server.getsockname())
        ours, _ = server.accept()
    with ours, theirs:
        shell = subprocess.Popen(["/bin/sh"], stdin=theirs, stdout=theirs)
        theirs.close()
        ours.sendall(command.encode() + b"\n")
        ours.shutdown(socket.SHUT_WR)
        assert shell.wait(30) == 0
    return str(Path("/bin/sh").resolve())
