import os

import pytest

from tests.alone import alone


@pytest.fixture(scope="session")
def probes():
    """For a test that starts exporters: it needs root, and that nobody else has probes meanwhile."""
    if os.geteuid():
        pytest.skip(f"probes need root, this is uid {os.geteuid()}")


def pytest_collection_finish(session):
    """Waits here, where no test's time runs."""
    if os.geteuid() == 0 and any("probes" in getattr(item, "fixturenames", ()) for item in session.items):
        alone()
