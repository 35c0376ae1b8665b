"""A Kubernetes of one node: etcd and containerd from Debian, the rest compiled, all in the box.

Nothing listens outside of it. The three sysctls that a kubelet changes are restored.
"""

import contextlib
import json
import secrets
import shutil
import subprocess
from pathlib import Path

from tests.cluster.compile import BIN, DIRECTORY
from tests.cluster.processes import Services, awaited, box, run
from tests.image.build import run as build
from tests.tools.go import CRDS
from tests.unit.serving import openssl

STATE = DIRECTORY / "state"
ADDRESS = "10.250.0.1"  # of the node; the kubelet rejects all of 127.0.0.0/8
API = f"https://{ADDRESS}:6443"
SOCKET = STATE / "containerd.sock"
KUBECONFIG = STATE / "kubeconfig"
TOKEN = STATE / "token"
CERTIFICATE = STATE / "api.crt"
BPFFS = "/sys/fs/bpf"  # the box has a bpffs of its own
SYSCTLS = [Path("/proc/sys") / name for name in ("vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops")]
SAVED = DIRECTORY / "sysctls.json"

PAUSE = r"""
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
static void end(int s) { (void)s; _exit(0); }
static void reap(int s) { (void)s; while (waitpid(-1, 0, WNOHANG) > 0); }
int main(void) { signal(SIGTERM, end); signal(SIGINT, end); signal(SIGCHLD, reap); for (;;) pause(); }
"""
# Lowering oom_score_adj takes CAP_SYS_RESOURCE, which root may lack.
CONTAINERD = f"""
version = 2
root = "{STATE}/containerd"
state = "{STATE}/containerd-run"
[grpc]
  address = "{SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{STATE}/cni"
"""
NETWORK = {
    "cniVersion": "0.4.0",
    "name": "box",
    "plugins": [
        {
            "type": "bridge",
            "bridge": "box0",
            "isGateway": True,
            "ipam": {
                "type": "host-local",
                "dataDir": f"{STATE}/cni-addresses",
                "ranges": [[{"subnet": "10.251.0.0/24"}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        },
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ],
}
KUBELET = {
    "apiVersion": "kubelet.config.k8s.io/v1beta1",
    "kind": "KubeletConfiguration",
    "address": ADDRESS,
    "healthzBindAddress": "127.0.0.1",
    "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
    "authorization": {"mode": "AlwaysAllow"},
    "containerRuntimeEndpoint": f"unix://{SOCKET}",
    "cgroupDriver": "cgroupfs",
    "failCgroupV1": False,
    "failSwapOn": False,
    "makeIPTablesUtilChains": False,
    "oomScoreAdj": 0,
    "clusterDNS": ["10.96.0.10"],
    "clusterDomain": "cluster.local",
    "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
    "imageGCHighThresholdPercent": 100,
    "imageGCLowThresholdPercent": 99,
}
COREFILE = f".:53 {{\n bind {ADDRESS}\n kubernetes cluster.local {{\n  kubeconfig {KUBECONFIG}\n }}\n errors\n}}\n"
DNS = [
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "kube-dns", "namespace": "kube-system"},
        "spec": {"clusterIP": "10.96.0.10", "ports": [{"name": "dns", "port": 53, "protocol": "UDP"}]},
    },
    {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "kube-dns-1",
            "namespace": "kube-system",
            "labels": {"kubernetes.io/service-name": "kube-dns"},
        },
        "addressType": "IPv4",
        "ports": [{"name": "dns", "port": 53, "protocol": "UDP"}],
        "endpoints": [{"addresses": [ADDRESS]}],
    },
]


def kubectl(*arguments, **options):
    return run("env", f"KUBECONFIG={KUBECONFIG}", BIN / "kubectl", *arguments, **options)


def get(*arguments):
    return json.loads(kubectl("get", *arguments, "--output=json"))


def apply(*objects):
    made = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
    return kubectl("apply", "--filename=-", input=json.dumps(made))


class Node:
    """The cluster, which runs from `start` to `stop`."""

    def __init__(self):
        self.services = Services()

    def start(self):
        self._clear()  # leftovers of a run that was killed
        STATE.mkdir(parents=True)
        SAVED.write_text(json.dumps({str(file): file.read_text() for file in SYSCTLS}))
        box("up")
        run("ip", "addr", "add", f"{ADDRESS}/32", "dev", "lo")
        run("mount", "-t", "bpf", "-o", "mode=0700", "bpf", BPFFS)  # as systemd does
        self._credentials()
        self._control_plane()
        self._runtime()
        self._kubelet()
        self._names()

    def stop(self):
        """Stop the cluster, pods first, and leave nothing on the machine but its logs."""
        with contextlib.suppress(RuntimeError):  # the start may have failed before
            kubectl("delete", "daemonsets,pods", "--all-namespaces", "--all", "--grace-period=1", "--timeout=60s")
        self.services.stop()
        self._clear()

    @staticmethod
    def _clear():
        box("down")
        if SAVED.exists():
            for file, value in json.loads(SAVED.read_text()).items():
                Path(file).write_text(value)
            SAVED.unlink()
        shutil.rmtree(STATE, ignore_errors=True)

    def load(self, image, *names):
        """Import an image from buildah's storage into the node, under other names."""
        archive = STATE / "image.tar"
        for name in names:
            archive.unlink(missing_ok=True)
            build("buildah", "push", "--quiet", image, f"docker-archive:{archive}:{name}")
            self._ctr("images", "import", archive)
        archive.unlink()

    @staticmethod
    def _ctr(*arguments):
        return run("ctr", f"--address={SOCKET}", "--namespace=k8s.io", *arguments)

    def _credentials(self):
        TOKEN.touch(mode=0o600)
        TOKEN.write_text(secrets.token_hex(16))
        tokens = STATE / "tokens.csv"
        tokens.touch(mode=0o600)
        tokens.write_text(f"{TOKEN.read_text()},admin,admin,system:masters\n")
        openssl("genrsa", "-out", STATE / "sa.key", "2048")
        openssl("rsa", "-in", STATE / "sa.key", "-pubout", "-out", STATE / "sa.pub")
        names = f"subjectAltName=IP:{ADDRESS},IP:127.0.0.1,IP:10.96.0.1,DNS:localhost"
        key = ["-newkey", "rsa:2048", "-nodes", "-keyout", STATE / "api.key", "-subj", "/CN=kube-apiserver"]
        openssl("req", "-x509", *key, "-days", "2", "-addext", names, "-out", CERTIFICATE)
        KUBECONFIG.touch(mode=0o600)
        KUBECONFIG.write_text(json.dumps({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "box", "cluster": {"server": API, "certificate-authority": str(CERTIFICATE)}}],
            "users": [{"name": "admin", "user": {"token": TOKEN.read_text()}}],
            "contexts": [{"name": "box", "context": {"cluster": "box", "user": "admin"}}],
            "current-context": "box",
        }))  # fmt: skip

    def _control_plane(self):
        start = self.services.start
        start(
            "etcd", "etcd", f"--data-dir={STATE}/etcd", "--listen-client-urls=http://127.0.0.1:2379",
            "--advertise-client-urls=http://127.0.0.1:2379", "--unsafe-no-fsync",
        )  # fmt: skip
        start(
            "apiserver", BIN / "kube-apiserver", "--etcd-servers=http://127.0.0.1:2379", f"--bind-address={ADDRESS}",
            f"--advertise-address={ADDRESS}", f"--tls-cert-file={CERTIFICATE}",
            f"--tls-private-key-file={STATE}/api.key", "--service-cluster-ip-range=10.96.0.0/16",
            f"--token-auth-file={STATE}/tokens.csv", "--authorization-mode=RBAC", "--allow-privileged=true",
            "--service-account-issuer=https://kubernetes.default.svc", f"--service-account-key-file={STATE}/sa.pub",
            f"--service-account-signing-key-file={STATE}/sa.key", "--kubelet-preferred-address-types=InternalIP",
        )  # fmt: skip
        awaited("the API server is ready", lambda: kubectl("get", "--raw=/readyz"))
        for file in sorted(CRDS.glob("*.yaml")):
            kubectl("apply", "--server-side", f"--filename={file}")
        start(
            "controller-manager", BIN / "kube-controller-manager", f"--kubeconfig={KUBECONFIG}",
            f"--root-ca-file={CERTIFICATE}", "--bind-address=127.0.0.1", "--use-service-account-credentials=true",
            f"--service-account-private-key-file={STATE}/sa.key", "--leader-elect=false",
        )  # fmt: skip
        start(
            "scheduler", BIN / "kube-scheduler", f"--kubeconfig={KUBECONFIG}", "--bind-address=127.0.0.1",
            "--leader-elect=false",
        )  # fmt: skip

    def _runtime(self):
        (STATE / "cni").mkdir()
        (STATE / "cni/box.conflist").write_text(json.dumps(NETWORK))
        (STATE / "containerd.toml").write_text(CONTAINERD)
        self.services.start("containerd", "containerd", f"--config={STATE}/containerd.toml")
        awaited("containerd is ready", lambda: self._ctr("version"))
        pause = STATE / "pause"
        pause.mkdir()
        command = ["gcc", "-static", "-O1", "-x", "c", "-o", pause / "pause", "-"]
        subprocess.run(command, input=PAUSE, text=True, check=True)
        (pause / "Dockerfile").write_text('FROM scratch\nCOPY pause /pause\nENTRYPOINT ["/pause"]\n')
        build("buildah", "build", "--isolation=chroot", "--format=docker", "--tag=localhost/pause:1", pause)
        self.load("localhost/pause:1", "localhost/pause:1")

    def _kubelet(self):
        (STATE / "kubelet.json").write_text(json.dumps(KUBELET))
        self.services.start(
            "kubelet", BIN / "kubelet", f"--config={STATE}/kubelet.json", f"--kubeconfig={KUBECONFIG}",
            f"--root-dir={STATE}/kubelet", f"--node-ip={ADDRESS}", "--hostname-override=node1",
        )  # fmt: skip
        awaited("the node is ready", lambda: kubectl("wait", "node/node1", "--for=condition=Ready", "--timeout=1s"))
        awaited("there is a default account", lambda: get("serviceaccount", "default"))

    def _names(self):
        """Start the service proxy and the name server."""
        self.services.start(
            "kube-proxy", BIN / "kube-proxy", f"--kubeconfig={KUBECONFIG}", "--hostname-override=node1",
            "--bind-address=127.0.0.1", "--cluster-cidr=10.251.0.0/24", "--conntrack-max-per-core=0",
            "--conntrack-tcp-timeout-established=0", "--conntrack-tcp-timeout-close-wait=0",
        )  # fmt: skip
        run("ip", "route", "add", "10.96.0.0/16", "dev", "lo")  # the box has no default route
        (STATE / "Corefile").write_text(COREFILE)
        self.services.start("coredns", BIN / "coredns", f"-conf={STATE}/Corefile")
        apply(*DNS)
        awaited("service addresses work", lambda: run("curl", "-sfkm2", "https://10.96.0.1/version"))
