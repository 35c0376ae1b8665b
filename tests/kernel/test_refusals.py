"""If it cannot run, one line says why, and what to do. Each machine that lacks something is real.

They are processes without a capability, mount namespaces without a file, and seccomp filters without a system call.
"""

import shlex
import socket
from pathlib import Path

import pytest

from exporter.kernel.libbpf import libbpf
from tests import readable
from tests.kernel.command import COMMAND, KEEPING_NOTHING, refused

pytestmark = [pytest.mark.native, pytest.mark.usefixtures("cold")]

SECCOMP = [COMMAND[0].removesuffix("exec_exporter") + "python", str(Path(__file__).parent / "without_bpf_command.py")]


WITHOUT_BCC = "mount -t tmpfs none /usr/lib/python3/dist-packages/bcc"


def in_a_mount_namespace(preparation):
    """Return the command to run it with something mounted over a part of its machine."""
    return ["unshare", "--mount", "sh", "-c", f'{preparation} && exec {shlex.join(COMMAND)} "$@"', "sh"]


def one_line(said):
    assert said.count("\n") == 1, said
    assert said.startswith("exec_exporter: ")
    assert "Traceback" not in said
    return said


@pytest.mark.parametrize("option", ["--check", "--web.listen-address=127.0.0.1:0"])
def test_without_capabilities(option):
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all"]
    status, said = refused(option, command=[*command, *readable.command()])
    assert status == 1
    assert "CAP_BPF and CAP_PERFMON missing: run as root, or give" in one_line(said)


def test_with_one_capability_of_two():
    ambient = "--inh-caps=-all,+bpf", "--ambient-caps=-all,+bpf"
    status, said = refused(command=["setpriv", "--reuid=65534", "--clear-groups", *ambient, *readable.command()])
    assert status == 1
    assert "CAP_PERFMON missing" in one_line(said)


def test_without_btf():
    status, said = refused(*KEEPING_NOTHING, command=in_a_mount_namespace("mount -t tmpfs none /sys/kernel/btf"))
    assert status == 1
    assert "type information, /sys/kernel/btf/vmlinux" in one_line(said)
    assert "CONFIG_DEBUG_INFO_BTF=y" in said


def test_with_damaged_btf():
    preparation = "mount -t tmpfs none /sys/kernel/btf && head -c 100000 /dev/zero > /sys/kernel/btf/vmlinux"
    status, said = refused(*KEEPING_NOTHING, command=in_a_mount_namespace(preparation))
    assert status == 1
    assert "not BTF" in one_line(said)


@pytest.mark.parametrize("arguments", [["--check"], ["trace"]])
def test_without_libbpf(arguments):
    libbpf()  # maps the library into this process
    library = next(line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if "/libbpf" in line)
    preparation = f"mount --bind /dev/null {library}"
    status, said = refused(*arguments, command=in_a_mount_namespace(preparation))
    assert status == 2
    assert "libbpf is not installed (libbpf.so.1): install libbpf1" in one_line(said)


def test_without_bcc():
    status, said = refused(*KEEPING_NOTHING, command=in_a_mount_namespace(WITHOUT_BCC))
    assert status == 1
    assert "BCC for Python is not installed" in one_line(said)
    assert "python3-bpfcc" in said


def test_in_kernel_lockdown(tmp_path):
    (tmp_path / "lockdown").write_text("none integrity [confidentiality]\n")
    security = "mount -t tmpfs none /sys/kernel/security"
    status, said = refused(
        command=in_a_mount_namespace(f"{security} && cp {tmp_path}/lockdown /sys/kernel/security/lockdown")
    )
    assert status == 1
    assert "lockdown" in one_line(said)


def test_with_the_address_in_use():
    with socket.create_server(("127.0.0.1", 0)) as other:
        status, said = refused(f"--web.listen-address=127.0.0.1:{other.getsockname()[1]}")
    assert status == 1
    assert "Address already in use" in one_line(said)


def test_with_few_open_files():
    status, said = refused(command=["sh", "-c", 'ulimit -n 32; exec "$@"', "sh", *COMMAND])
    assert status == 1
    assert "may open only 32 files, and needs 64: allow the process more open files (ulimit -n" in one_line(said)


def test_the_least_number_of_open_files_is_enough(tmp_path):
    served_once = [
        *COMMAND,
        f"--catalogue.path={tmp_path}/catalogue.db",
        "--bpf.pin-path=",
        f"--textfile={tmp_path}/x.prom",
    ]
    result = refused("--once", command=["sh", "-c", 'ulimit -n 64; exec "$@"', "sh", *served_once])
    assert result[0] == 0, result


def test_without_proc():
    status, said = refused(*KEEPING_NOTHING, command=in_a_mount_namespace("mount -t tmpfs none /proc"))
    assert status == 1
    assert "/proc/self/status: No such file or directory): mount /proc" in one_line(said)


def test_without_a_directory_for_temporary_files():
    read_only = "for d in /tmp /var/tmp /usr/tmp; do [ ! -d $d ] || mount --bind -o ro $d $d; done; cd /proc"
    command = in_a_mount_namespace(read_only)
    status, said = refused("--check", command=command)
    assert status == 1
    assert "No usable temporary directory" in one_line(said)
    assert "set TMPDIR" in said


def test_with_an_unknown_flag():
    status, said = refused("--no-such-flag")
    assert status == 2
    assert "unrecognized arguments: --no-such-flag: see exec_exporter --help" in one_line(said)


def test_without_ring_buffers():
    status, said = refused(command=[*SECCOMP, "0", *COMMAND])
    assert status == 1
    assert "no BPF ring buffer (Invalid argument): exec_exporter needs Linux 5.8 or newer" in one_line(said)


def test_without_raw_tracepoints():
    status, said = refused("--web.listen-address=127.0.0.1:0", *KEEPING_NOTHING, command=[*SECCOMP, "17", *COMMAND])
    assert status == 1
    assert "raw tracepoint sched_process_exit (Invalid argument): exec_exporter needs" in one_line(said)


def test_with_a_program_that_the_kernel_refuses():
    status, said = refused("--check", command=[*SECCOMP, "5", *COMMAND])
    assert status == 1
    assert "refused the probe" in one_line(said)
