"""Housekeeping stepped by hand, with a clock that only waiting advances."""

import logging

from exporter.collectors.housekeeping import INTERVAL_SECONDS, MANY, SOON_SECONDS, Housekeeping
from exporter.metrics.checkpoint import Checkpoint
from exporter.probe.record_queue import RecordQueue
from tests.unit.blobs import Blobs
from tests.unit.maps import SECOND, Maps, pipeline_of


class Probe(Maps):
    """Maps with records that end a wait; time passes only while there are none."""

    def __init__(self, capacity=1000):
        super().__init__(capacity)
        self.seconds, self.refreshed, self.broken = 0.0, 0, False

    def wait(self, timeout_seconds):
        if self.records:
            return True
        self.seconds += timeout_seconds
        self.now += int(timeout_seconds * SECOND)
        return False

    def refresh_settings(self):
        if self.broken:
            raise OSError(1, "Operation not permitted")
        self.refreshed += 1


def housekeeping_of(probe, **options):
    pipeline = pipeline_of(probe, **options)
    return pipeline, Housekeeping(probe, pipeline, clock=lambda: probe.seconds)


def test_records_leave_the_ring_buffer_as_they_come_and_the_rest_has_time():
    probe = Probe()
    pipeline, housekeeping = housekeeping_of(probe)
    probe.execute(1)
    housekeeping.run_once()
    assert (probe.records, pipeline.introduced) == ([], 1)
    assert (probe.seconds, probe.refreshed) == (0, 0)


def test_every_interval_settings_are_refreshed_idle_keys_evicted_and_records_acknowledged():
    probe = Probe()
    queue = RecordQueue(Blobs(), ("checkpoint",))
    pipeline, housekeeping = housekeeping_of(
        probe, idle_seconds=INTERVAL_SECONDS + 1, queue=queue, checkpoint=Checkpoint(Blobs())
    )
    probe.execute(1)
    housekeeping.run_once()
    assert queue.pending == 1
    housekeeping.run_once()
    assert (probe.seconds, probe.refreshed, queue.pending) == (INTERVAL_SECONDS, 1, 0)
    assert len(probe.maps["execs"]) == 1
    housekeeping.run_once()
    assert (probe.seconds, probe.refreshed) == (2 * INTERVAL_SECONDS, 2)
    assert probe.maps["execs"] == {}
    assert pipeline.introduced == 1


def test_a_map_that_fills_gets_room_soon():
    probe = Probe(capacity=100)
    _, housekeeping = housekeeping_of(probe)
    for number in range(76):
        probe.execute(number)
    housekeeping.run_once()
    assert probe.refreshed == 0
    for _ in range(3):  # a key is not removed within a quarter of a second
        housekeeping.run_once()
    assert SOON_SECONDS <= probe.seconds < 1
    assert len(probe.maps["execs"]) == 50


def test_many_new_programs_make_room_before_the_map_fills():
    probe = Probe(capacity=1_000_000)
    _, housekeeping = housekeeping_of(probe)
    for number in range(MANY + 1):
        probe.execute(number)
    housekeeping.run_once()
    housekeeping.run_once()
    assert probe.refreshed == 1
    assert SOON_SECONDS <= probe.seconds < 1


def test_failures_are_logged_once_until_it_works_again(caplog):
    probe = Probe()
    _, housekeeping = housekeeping_of(probe)
    for probe.broken in (True, True, False, True):
        housekeeping.run_once()
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 2
    assert "Operation not permitted" in errors[0]


def test_an_eviction_that_always_fails_is_logged_once_though_records_come_in_between(caplog):
    probe = Probe()
    _, housekeeping = housekeeping_of(probe)
    probe.broken = True
    for number in range(3):
        housekeeping.run_once()
        probe.execute(number)
        housekeeping.run_once()
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 1
    assert probe.records == []


def test_records_are_acknowledged_and_keys_evicted_though_the_settings_cannot_be_refreshed():
    probe, queue = Probe(), RecordQueue(Blobs(), ("checkpoint",))
    _, housekeeping = housekeeping_of(
        probe, idle_seconds=INTERVAL_SECONDS + 1, queue=queue, checkpoint=Checkpoint(Blobs())
    )
    probe.broken = True
    probe.execute(1)
    for _ in range(3):
        housekeeping.run_once()
    assert (queue.pending, probe.maps["execs"]) == (0, {})
