import os

import pytest

from tests.alone import alone


@pytest.fixture
def probes():
    """For a test that starts exporters: it needs root, and that nobody else has probes meanwhile."""
    if os.geteuid():
        pytest.skip(f"probes need root, this is uid {os.geteuid()}")
    alone()
