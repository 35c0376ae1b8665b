"""The duration of learning."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.catalogue import learning
from exporter.catalogue.catalogue import Catalogue
from exporter.catalogue.learning import Learning


@pytest.fixture
def catalogue(tmp_path):
    catalogue = Catalogue(tmp_path / "catalogue.db", create=True)
    yield catalogue
    catalogue.close()


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@settings(max_examples=30)
@given(st.lists(st.tuples(st.floats(0, 50), st.booleans(), st.floats(-1e9, 1e9)), min_size=1, max_size=20))
def test_learning_lasts_for_running_time_and_ignores_the_wall_clock(tmp_path_factory, steps):
    """Each step: time that passes, whether a restart follows, and the wall clock after it."""
    catalogue = Catalogue(tmp_path_factory.mktemp("learning") / "catalogue.db", create=True)
    boottime, wall, ran = Clock(), Clock(), 0.0
    one = Learning(100.0, boottime, wall)
    one.load(catalogue)
    for passes, restarts, jump in steps:
        boottime.now += passes
        ran += passes
        wall.now += jump
        with catalogue.transaction():
            one.tick(catalogue)
        assert one.active == (ran < 100.0) or abs(ran - 100.0) < 1e-6
        if not one.active:
            break
        assert one.state == "learning"
        assert abs(one.end - (wall.now + 100.0 - ran)) <= 1.0
        if restarts:
            boottime.now = 5.0 if jump > 0 else boottime.now + 3600  # a reboot, or time without an exporter
            one = Learning(100.0, boottime, wall)
            one.load(catalogue)
    catalogue.close()


def test_learning_that_is_over_stays_over(catalogue):
    one = Learning(0.0)
    with catalogue.transaction():
        one.tick(catalogue)
    again = Learning(1e9)
    again.load(catalogue)
    assert (again.active, again.state) == (False, "watching")


def test_the_state_is_lost_until_repeated_learning_has_ended(catalogue):
    clock = Clock()
    one = Learning(10.0, clock)
    with catalogue.transaction():
        catalogue.set(learning.LOST, 1)
        one.tick(catalogue)
    assert one.state == "lost"
    clock.now += 11
    with catalogue.transaction():
        one.tick(catalogue)
    assert one.state == "watching"
