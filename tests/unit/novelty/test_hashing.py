"""The rate at which files are read."""

import pytest

from exporter.novelty.hashing import Throttle


def test_the_throttle_lets_a_burst_pass_and_then_its_rate():
    now, slept = [0.0], []

    def sleep(seconds):
        slept.append(seconds)
        now[0] += seconds

    throttle = Throttle(100, lambda: now[0], sleep)
    for _ in range(10):
        throttle.take(100)
    assert sum(slept) == pytest.approx(10 - Throttle.BURST_SECONDS)
    now[0] += 1000
    slept.clear()
    throttle.take(int(100 * Throttle.BURST_SECONDS))
    assert slept == [0.0]
