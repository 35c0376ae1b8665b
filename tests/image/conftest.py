import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.alone import alone
from tests.chart.helm import template
from tests.image.build import build, mounted, run
from tests.image.oci import specification


def pytest_collection_modifyitems(items):
    """Skip the tests, with a reason, if images cannot be built and run here."""
    lacking = [command for command in ("buildah", "mmdebstrap", "runc", "nsenter") if shutil.which(command) is None]
    if os.geteuid():
        lacking.append(f"root (this is uid {os.geteuid()})")
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(1200))  # includes the first build on a machine
            if lacking:
                item.add_marker(pytest.mark.skip(reason=f"the image needs {', '.join(lacking)}"))


def pytest_collection_finish(session):
    """Take the lock of probes, which containers have too; waiting does not count as the time of a test."""
    if os.geteuid() == 0 and any(Path(__file__).parent in item.path.parents for item in session.items):
        alone()


@dataclass(frozen=True)
class Image:
    root: Path
    config: dict


@pytest.fixture(scope="session")
def image():
    """Build the image from this checkout; return it with its files."""
    name = build()
    config = json.loads(run("buildah", "inspect", "--type=image", name))["Docker"]["config"]
    with mounted(name) as root:
        yield Image(root, config)


@dataclass(frozen=True)
class Pod:
    """The spec of a pod that a set of values renders, and the OCI runtime's configuration of its container."""

    spec: dict
    container: dict
    directory: Path
    oci: dict


@pytest.fixture
def pod(image, tmp_path):
    """Return a function that makes a pod from values; `objects` are Secrets that the user has made."""

    def make(*arguments, objects=None, **changes):
        made = {**template(*arguments), **(objects or {})}
        (spec,) = (one["spec"]["template"]["spec"] for (kind, _), one in made.items() if kind == "DaemonSet")
        (container,) = spec["containers"]
        container["securityContext"] |= changes
        oci = specification(spec, container, image.config, image.root, tmp_path, made)
        return Pod(spec, container, tmp_path, oci)

    return make
