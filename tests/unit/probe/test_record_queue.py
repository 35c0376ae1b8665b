"""A queue of records: each reader gets all of them in order, and none is removed before every reader is done."""

import threading

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from exporter.probe.record_queue import CHECKPOINT, NOVELTY, RecordQueue
from tests.unit.blobs import Blobs

READERS = CHECKPOINT, NOVELTY


def queue_of(*records, blobs=None):
    queue = RecordQueue(Blobs() if blobs is None else blobs, READERS)
    for record in records:
        queue.add(record)
    return queue


def test_records_are_numbered_from_one_and_read_in_order():
    queue = queue_of(b"a", b"b", b"c")
    assert queue.read(0, 2) == [(1, b"a"), (2, b"b")]
    assert queue.read(2, 2) == [(3, b"c")]
    assert queue.read(3, 2) == []
    assert queue.pending == 3


def test_a_record_stays_until_the_last_reader_has_acknowledged_it():
    blobs = Blobs()
    queue = queue_of(b"a", b"b", b"c", blobs=blobs)
    queue.acknowledge("checkpoint", 3)
    assert blobs.numbers() == [1, 2, 3]
    queue.acknowledge("novelty", 2)
    assert blobs.numbers() == [3]
    assert queue.pending == 1
    queue.acknowledge("novelty", 1)
    assert queue.read(0, 9) == [(3, b"c")], "an acknowledgement cannot be taken back"


def test_the_next_process_inherits_unacknowledged_records_and_the_numbers_continue():
    blobs = Blobs()
    queue = queue_of(b"a", b"b", b"c", blobs=blobs)
    for reader in READERS:
        queue.acknowledge(reader, 1)
    queue = queue_of(b"d", blobs=blobs)
    assert queue.read(0, 9) == [(2, b"b"), (3, b"c"), (4, b"d")]


def test_a_record_without_room_is_counted_and_logged_once_until_the_queue_was_empty(caplog):
    blobs = Blobs()
    queue = queue_of(b"a", blobs=blobs)
    for blobs.full in (True, True, False, True):
        number = queue.add(b"b")
        assert (number is None) == blobs.full
    assert queue.refused == 3
    assert queue.read(0, 9) == [(1, b"a"), (2, b"b")]
    assert len(caplog.records) == 1
    for reader in READERS:
        queue.acknowledge(reader, 2)
    assert queue.add(b"c") is None
    assert len(caplog.records) == 2


def test_a_damaged_record_is_empty():
    blobs = Blobs()
    queue = queue_of(b"a", b"b", b"c", blobs=blobs)
    del blobs[2]
    assert queue.read(0, 2) == [(1, b"a"), (2, b"")]


def test_readers_continue_behind_records_that_are_missing():
    blobs, far = Blobs(), 1 << 62
    blobs.update({3: b"a", 5: b"b", far: b"c"})
    queue = queue_of(b"d", blobs=blobs)
    assert list(queue.records()) == queue.read(0, 9) == [(3, b"a"), (5, b"b"), (far, b"c"), (far + 1, b"d")]
    assert queue.read(4, 1) == [(5, b"b")]
    assert queue.waiting(READERS[0]) == 4
    assert queue.pending == 4
    for reader in READERS:
        queue.acknowledge(reader, 4)
    assert blobs.numbers() == [5, far, far + 1]
    for reader in READERS:
        queue.acknowledge(reader, far)
    assert queue.read(0, 9) == [(far + 1, b"d")]


def test_who_waits_is_woken_by_a_record_and_by_the_end():
    queue = queue_of()
    assert not queue.wait(0, 0.0)
    threading.Timer(0.01, queue.add, [b"a"]).start()
    assert queue.wait(0, 60.0)
    threading.Timer(0.01, queue.close).start()
    assert not queue.wait(1, 60.0)
    assert queue.read(0, 9) == []


class Histories(RuleBasedStateMachine):
    """Two readers, restarts, a full map: compared with a plain list of all records."""

    def __init__(self):
        super().__init__()
        self.blobs, self.records = Blobs(), {}
        self.start()

    @rule()
    def start(self):
        """End a process and start the next one, which begins where the slower reader was."""
        first = min(self.blobs, default=1)
        self.records = {number: record for number, record in self.records.items() if number >= first}
        if not self.blobs:
            self.records = {}
        self.queue = queue_of(blobs=self.blobs)
        self.done = dict.fromkeys(READERS, first - 1)

    @rule(full=st.booleans())
    def a_record_comes(self, full):
        self.blobs.full = full
        record = b"%d" % len(self.records)
        number = self.queue.add(record)
        assert (number is None) == full
        if number:
            assert number == max(self.records, default=min(self.done.values())) + 1
            self.records[number] = record

    @precondition(lambda self: self.records)
    @rule(reader=st.sampled_from(READERS), count=st.integers(1, 5))
    def a_reader_reads_and_acknowledges(self, reader, count):
        expected = [item for item in self.records.items() if item[0] > self.done[reader]][:count]
        assert self.queue.read(self.done[reader], count) == expected
        if expected:
            self.done[reader] = expected[-1][0]
            self.queue.acknowledge(reader, self.done[reader])

    @invariant()
    def no_more_is_held_than_needed(self):
        needed = [number for number in self.records if number > min(self.done.values())]
        assert self.blobs.numbers() == needed
        assert self.queue.pending == len(needed)


TestHistories = Histories.TestCase
