import os

import pytest

from tests import compiled
from tests.alone import alone

compiled.share()


@pytest.fixture(scope="session")
def probes():
    """For tests that start exporters: they need root, and the lock of probes."""
    if os.geteuid():
        pytest.skip(f"probes need root, this is uid {os.geteuid()}")


def pytest_collection_finish(session):
    """Take the lock here, so that waiting does not count as the time of a test."""
    if os.geteuid() == 0 and any("probes" in getattr(item, "fixturenames", ()) for item in session.items):
        alone()
