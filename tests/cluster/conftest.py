import os
from pathlib import Path

import pytest

from tests.alone import alone
from tests.cluster.monitoring import Monitoring
from tests.cluster.node import Node
from tests.image.build import build


def pytest_collection_modifyitems(items):
    """Skip the tests without root, and give them time to start."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(1200))
            if os.geteuid():
                item.add_marker(pytest.mark.skip(reason=f"a cluster needs root, this is uid {os.geteuid()}"))


def pytest_collection_finish(session):
    """Take the lock of probes: the exporter in the cluster sees the whole machine."""
    if os.geteuid() == 0 and any(Path(__file__).parent in item.path.parents for item in session.items):
        alone()


@pytest.fixture(scope="session")
def cluster():
    """Run a cluster that has the image under two names."""
    image = build()
    node = Node()
    try:
        node.start()
        node.load(image, "localhost/exec-exporter:0.1.0", "localhost/exec-exporter:next")
        yield node
    finally:
        node.stop()


@pytest.fixture(scope="session")
def monitoring(cluster):
    """Run the operator and its Prometheus."""
    made = Monitoring(cluster.services)
    made.start()
    return made
