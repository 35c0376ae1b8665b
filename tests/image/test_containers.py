"""The image runs with exactly the rights that the chart grants it, and counts executions outside of it."""

import base64
import hashlib
import subprocess
from pathlib import Path

import pytest

from tests.chart.helm import VALUES, settings, template
from tests.image.container import ended, runc, running
from tests.image.oci import specification
from tests.kernel.bpf_objects import bpf_objects, gone
from tests.kernel.programs import dynamic_elf, execute, script, static_elf
from tests.unit.serving import Authority

PROBES = "startupProbe", "livenessProbe", "readinessProbe"


def url(pod, probe):
    """Return the URL that the kubelet would request, for 127.0.0.1."""
    (port,) = pod.container["ports"]
    asked = pod.container[probe]["httpGet"]
    assert asked["port"] == port["name"]
    return f"{asked['scheme'].lower()}://127.0.0.1:{port['containerPort']}{asked['path']}"


def ready(one, pod):
    """Wait as long as the kubelet would for the startup probe."""
    probe = pod.container["startupProbe"]
    one.until(
        lambda: one.ask(url(pod, "startupProbe"))[0] == 200, probe["periodSeconds"] * probe["failureThreshold"]
    )  # fmt: skip


def metrics(one, address="http://127.0.0.1:10042/metrics"):
    status, body = one.ask(address)
    assert status == 200
    return body.splitlines()


def counted(one, path):
    """Return the executions of a scrape by path."""
    return sum(
        float(line.split()[-1])
        for line in metrics(one)
        if line.startswith("exec_executions_total{") and f'path="{path}"' in line
    )


def process_status(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def capabilities(*numbers):
    return f"{sum(1 << number for number in numbers):016x}"


BPF, PERFMON, SYS_PTRACE, DAC_READ_SEARCH = 39, 38, 19, 2


def test_executions_outside_of_it_are_counted(pod, tmp_path):
    made = pod()
    programs = {
        static_elf(tmp_path / "static"): 7,
        dynamic_elf(tmp_path / "dynamic"): 5,
        script(tmp_path / "script"): 3,
    }
    with running("exec_exporter-test-counts", made.oci, tmp_path) as one:
        ready(one, made)
        for program, times in programs.items():
            execute(program, times)
        assert {program: counted(one, program) for program in programs} == programs


def test_its_privileges_while_it_runs(pod, tmp_path):
    made = pod()
    with running("exec_exporter-test-status", made.oci, tmp_path) as one:
        ready(one, made)
        status = process_status(one.pid)
        assert set(status["Uid"].split()) == set(status["Gid"].split()) == {"65534"}
        assert status["CapBnd"] == capabilities(BPF, PERFMON)
        assert status["CapPrm"] == status["CapEff"] == status["CapInh"] == status["CapAmb"] == capabilities()
        assert status["NoNewPrivs"] == "1"
        assert status["Seccomp"] == "2"
        assert _mount_options(one.pid, "/")[0] == "ro"


def test_everything_the_chart_names_answers(pod, tmp_path):
    made = pod()
    with running("exec_exporter-test-probes", made.oci, tmp_path) as one:
        ready(one, made)
        for probe in PROBES:
            assert one.ask(url(made, probe)) == (200, "OK\n"), probe
        assert "exec_exporter_probe_attached 1.0" in metrics(one)


def test_it_stops_at_once(pod, tmp_path):
    made = pod()
    with running("exec_exporter-test-stop", made.oci, tmp_path) as one:
        ready(one, made)
        runc("kill", one.name, "TERM")
        assert one.process.wait(made.spec["terminationGracePeriodSeconds"]) == 0


def test_the_healthcheck_of_the_image(image, pod, tmp_path):
    with running("exec_exporter-test-health", pod().oci, tmp_path) as one:
        kind, *command = image.config["Healthcheck"]["Test"]
        assert kind == "CMD"
        one.until(lambda: subprocess.run(["runc", "exec", one.name, *command], capture_output=True).returncode == 0)


def test_the_chart_s_test(image, pod, tmp_path):
    """Run it also from a pod without capabilities, which has another interpreter."""
    made = pod()
    asking = template()["Pod", "exec-exporter-test"]["spec"]
    (asks,) = asking["containers"]
    asks["args"][1] = "http://127.0.0.1:10042/metrics"
    with running("exec_exporter-test-asked", made.oci, tmp_path) as one:
        directory = tmp_path / "asks"
        directory.mkdir()
        oci = specification(
            asking, asks, image.config, image.root, directory, network=f"/proc/{one.until(lambda: one.pid)}/ns/net"
        )  # fmt: skip
        status, said, errors = ended("exec_exporter-test-asks", oci, directory)
        assert (status, errors) == (0, "")
        assert said.startswith("http://127.0.0.1:10042/metrics: the probe is attached, ")


@pytest.mark.parametrize(
    ("added", "missing"),
    [(["BPF"], "CAP_PERFMON"), (["PERFMON"], "CAP_BPF"), ([], "CAP_BPF and CAP_PERFMON")],
)
def test_a_missing_capability_is_the_exporters_own_line(pod, tmp_path, added, missing):
    made = pod(capabilities={"drop": ["ALL"], "add": added})
    status, said, errors = ended("exec_exporter-test-refused", made.oci, tmp_path)
    assert (status, said) == (1, "")
    assert errors.splitlines() == [
        f"exec_exporter: not permitted to load BPF programs: {missing} missing: "
        "run as root, or give the process CAP_BPF and CAP_PERFMON"
    ]


def test_root_works_too(pod, tmp_path):
    made = pod(runAsUser=0, runAsGroup=0, runAsNonRoot=False)
    with running("exec_exporter-test-root", made.oci, tmp_path) as one:
        ready(one, made)
        assert process_status(one.pid)["CapEff"] == capabilities()


def test_contents_of_other_users_programs_are_read(pod, tmp_path):
    """As an ordinary user with the two capabilities that the switch adds, for a program that only root may read."""
    made = pod(f"--values={VALUES / 'content-hashes.yaml'}", *settings('config={"learning.duration": "0s"}'))
    program = static_elf(tmp_path / "secret")
    program.chmod(0o700)
    digest = hashlib.sha256(program.read_bytes()).hexdigest()
    with running("exec_exporter-test-hashes", made.oci, tmp_path) as one:
        ready(one, made)
        execute(program)
        one.until(lambda: digest in runc("exec", one.name, "exec_exporter", "findings", "list", "--json").stdout)
        status = process_status(one.pid)
        assert status["CapBnd"] == capabilities(BPF, PERFMON, SYS_PTRACE, DAC_READ_SEARCH)
        assert status["CapEff"] == status["CapPrm"] == capabilities(SYS_PTRACE, DAC_READ_SEARCH)
        assert set(status["Uid"].split()) == {"65534"}


def test_without_content_hashes_novel_programs_are_found_all_the_same(pod, tmp_path):
    made = pod(*settings('config={"learning.duration": "0s"}'))
    program = static_elf(tmp_path / "novel")
    with running("exec_exporter-test-novel", made.oci, tmp_path) as one:
        ready(one, made)
        execute(program)
        one.until(lambda: str(program) in runc("exec", one.name, "exec_exporter", "findings", "list", "--json").stdout)


@pytest.fixture
def owned(image, tmp_path):
    """Run the init container of a pod."""

    def run(made):
        (first,) = made.spec["initContainers"]
        oci = specification(made.spec, first, image.config, image.root, tmp_path)
        assert ended("exec_exporter-test-owner", oci, tmp_path) == (0, "", "")

    return run


@pytest.fixture
def bpffs(tmp_path):
    """Mount a bpffs as systemd does, for root alone."""
    point = tmp_path / "bpf"
    point.mkdir()
    subprocess.run(["mount", "-t", "bpf", "-o", "mode=0700", "bpf", point], check=True)
    yield point
    subprocess.run(["umount", point], check=True)


def test_pins_count_from_pod_to_pod(pod, owned, bpffs, tmp_path):
    """Counts continue while no pod runs: the first is killed, the second ends, the third unpins when it ends."""
    before = bpf_objects()
    directory = bpffs / "exec-exporter"
    unlimited = 'config={"series": {"limit": 200000}}'  # room for other programs of this machine
    given = f"--values={VALUES / 'pinned.yaml'}", *settings(f'pins.hostPath="{directory}"', unlimited)
    program = static_elf(tmp_path / "program")
    for number, more in enumerate(((), (), settings("pins.unpinOnStop=true")), 1):
        made = pod(*given, *more)
        owned(made)
        assert (directory.stat().st_uid, directory.stat().st_gid) == (65534, 65534)
        with running(f"exec_exporter-test-pins-{number}", made.oci, tmp_path) as one:
            ready(one, made)
            assert "exec_exporter_pinned 1.0" in metrics(one)
            assert counted(one, program) == 7 * (number - 1)
            execute(program, 4)
            assert counted(one, program) == 7 * (number - 1) + 4
            assert process_status(one.pid)["CapBnd"] == capabilities(BPF, PERFMON)
            if number > 1:
                runc("kill", one.name, "TERM")
                assert one.process.wait(made.spec["terminationGracePeriodSeconds"]) == 0
        execute(program, 3)
    assert [one for one in directory.rglob("*") if not one.is_dir()] == []
    assert not gone(before)


def test_without_pins_the_exporter_does_not_look_for_any(pod, tmp_path):
    made = pod()
    with running("exec_exporter-test-unpinned", made.oci, tmp_path) as one:
        ready(one, made)
        assert "exec_exporter_pinned 0.0" in metrics(one)
        runc("kill", one.name, "TERM")
        one.process.wait(made.spec["terminationGracePeriodSeconds"])
        assert "bpffs" not in one.process.stderr.read()


def test_a_catalogue_on_the_node_outlives_the_pod(pod, owned, tmp_path):
    """The kubelet makes its directory for root; the init container gives it to the exporter."""
    directory = tmp_path / "on-the-node"
    config = '{"learning.duration": "0s", "findings.series": 10000}'  # room for other novel programs of this machine
    made = pod(*settings(f'catalogue.hostPath="{directory}"', f"config={config}"))
    owned(made)
    assert (directory.stat().st_uid, directory.stat().st_gid) == (65534, 65534)
    program = static_elf(tmp_path / "novel")
    for times in (1, 2):
        with running(f"exec_exporter-test-pod-{times}", made.oci, tmp_path) as one:
            ready(one, made)
            execute(program)
            one.until(lambda: counted(one, program) == 1)
            one.until(
                lambda: f'"{program}"' in runc("exec", one.name, "exec_exporter", "findings", "list", "--json").stdout
            )
            one.until(lambda: _findings(one, program) == 1)
    assert (directory / "catalogue.db").stat().st_uid == 65534


def test_tls(pod, tmp_path):
    files = dict(zip(("tls.crt", "tls.key"), Authority(tmp_path).sign("localhost"), strict=True))
    data = {name: base64.b64encode(file.read_bytes()) for name, file in files.items()}
    secret = {"kind": "Secret", "data": data}
    made = pod(f"--values={VALUES / 'tls.yaml'}", objects={("Secret", "exec-tls"): secret})
    with running("exec_exporter-test-tls", made.oci, tmp_path) as one:
        ready(one, made)
        for probe in PROBES:
            assert url(made, probe).startswith("https://")
            assert one.ask(url(made, probe)) == (200, "OK\n")


def _findings(one, path):
    """Return the series of open findings of a path."""
    name = "exec_novel_binary_first_seen_timestamp_seconds{"
    return sum(line.startswith(name) and f'path="{path}"' in line for line in metrics(one))


def _mount_options(pid, point):
    mounts = map(str.split, Path(f"/proc/{pid}/mountinfo").read_text().splitlines())
    return next(fields[5].split(",") for fields in mounts if fields[4] == point)
