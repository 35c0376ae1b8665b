"""A container of a pod for runc, as the kubelet and containerd derive it from its security context and volumes.

No capability is ambient, as in Kubernetes; the seccomp profile is containerd's.
"""

import base64
import json
import subprocess
from pathlib import Path

from tests.tools.go import SECCOMP_PROFILE

MASKED = ("/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/scsi",
          "/proc/sched_debug", "/proc/timer_list", "/proc/timer_stats", "/sys/firmware")  # fmt: skip
READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
UNITS = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}
BOUND = ["nosuid", "nodev"]


def specification(pod, container, image, root, directory, objects=None, network=None):
    """Return the config.json of the OCI runtime.

    `pod` is the spec of a pod, `container` one of its containers, and `image` the configuration of the image in the
    directory `root`. Volumes are made in `directory`, from the ConfigMaps and Secrets in `objects`, by kind and name.
    `network` is the path of another network namespace to join.
    """
    context = {**pod.get("securityContext", {}), **container.get("securityContext", {})}
    assert context["capabilities"]["drop"] == ["ALL"], "what Docker and containerd add by default is not done here"
    assert not context.get("privileged")
    capabilities = [f"CAP_{name}" for name in context["capabilities"].get("add", [])]
    environment = [*image.get("Env", []), *(f"{one['name']}={one['value']}" for one in container.get("env", []))]
    namespaces = [{"type": name} for name in ("mount", "ipc", "uts", "cgroup")]
    if not pod.get("hostPID"):
        namespaces.append({"type": "pid"})
    if not pod.get("hostNetwork"):
        namespaces.append({"type": "network", **({"path": network} if network else {})})
    return {
        "ociVersion": "1.0.2",
        "process": {
            "args": container.get("command", image["Entrypoint"]) + container.get("args", image.get("Cmd", [])),
            "env": environment,
            "cwd": "/",
            "user": {"uid": context["runAsUser"], "gid": context["runAsGroup"]},
            "noNewPrivileges": not context["allowPrivilegeEscalation"],
            "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), capabilities),
        },
        "root": {"path": str(root), "readonly": context["readOnlyRootFilesystem"]},
        "mounts": [*_usual_mounts(), *_mounts(pod, container, Path(directory), objects or {})],
        "linux": {
            "namespaces": namespaces,
            "maskedPaths": list(MASKED),
            "readonlyPaths": list(READ_ONLY),
            "seccomp": _seccomp(context["seccompProfile"], capabilities),
            "resources": {"memory": {"limit": _bytes(container["resources"]["limits"]["memory"])}},
        },
    }


def _seccomp(profile, capabilities):
    assert profile == {"type": "RuntimeDefault"}
    return json.loads(subprocess.run([SECCOMP_PROFILE, *capabilities], capture_output=True, check=True).stdout)


def _usual_mounts():
    def mount(destination, kind, *options):
        return {"destination": destination, "type": kind, "source": kind, "options": ["nosuid", "noexec", *options]}

    return [
        mount("/proc", "proc", "nodev"),
        mount("/dev", "tmpfs", "strictatime", "mode=755", "size=65536k"),
        mount("/dev/pts", "devpts", "newinstance", "ptmxmode=0666", "mode=0620"),
        mount("/dev/mqueue", "mqueue", "nodev"),
        mount("/sys", "sysfs", "nodev", "ro"),
    ]


def _mounts(pod, container, directory, objects):
    volumes = {volume["name"]: volume for volume in pod.get("volumes", [])}
    for mount in container.get("volumeMounts", []):
        made = _volume(volumes[mount["name"]], directory, objects)
        made["options"] += ["ro"] if mount.get("readOnly") else ["rw"]
        yield {"destination": mount["mountPath"], **made}


def _volume(volume, directory, objects):
    if volume.get("emptyDir", {}).get("medium") == "Memory":
        options = [*BOUND, "mode=0777", f"size={_bytes(volume['emptyDir']['sizeLimit'])}"]
        return {"type": "tmpfs", "source": "tmpfs", "options": options}
    source = directory / volume["name"]
    if "hostPath" in volume:
        source = Path(volume["hostPath"]["path"])
        if volume["hostPath"]["type"] == "DirectoryOrCreate":
            source.mkdir(mode=0o755, parents=True, exist_ok=True)
    elif not source.exists():
        source.mkdir()
        source.chmod(0o777)
        for name, content in _files(volume, objects):
            (source / name).write_bytes(content)
    return {"type": "bind", "source": str(source), "options": ["rbind", *BOUND]}


def _files(volume, objects):
    """Return the files of a volume that is made of ConfigMaps and Secrets."""
    for source in volume.get("projected", {}).get("sources", [volume]):
        if "secret" in source:
            made = objects["Secret", source["secret"].get("name") or source["secret"]["secretName"]]
        elif "configMap" in source:
            made = objects["ConfigMap", source["configMap"]["name"]]
        else:
            assert "emptyDir" in source, source
            continue
        texts = made.get("stringData") or (made.get("data", {}) if made["kind"] == "ConfigMap" else {})
        yield from ((name, text.encode()) for name, text in texts.items())
        if made["kind"] == "Secret":
            yield from ((name, base64.b64decode(text)) for name, text in made.get("data", {}).items())


def _bytes(quantity):
    return int(quantity[:-2]) * UNITS[quantity[-2:]]
