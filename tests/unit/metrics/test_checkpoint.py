import logging
import zlib

import pytest

from exporter.metrics.checkpoint import LEAST_PARTS, Checkpoint
from exporter.metrics.tracked_dict import TrackedDict
from tests.unit.blobs import Blobs, KilledError


class Part:
    """Two tables, one of which has tuples as keys."""

    def __init__(self):
        self.numbers, self.labels = TrackedDict(), TrackedDict()
        self.asked = []

    def changes(self, whole):
        self.asked.append(whole)
        tables = {"numbers": self.numbers.changes(whole=whole), "labels": self.labels.changes(whole=whole)}
        return {"part": tables, "other": {"sum": [("all", len(self.numbers))]}}

    def tables(self):
        tables = {"numbers": dict(self.numbers), "labels": dict(self.labels)}
        return {"part": tables, "other": {"sum": {"all": len(self.numbers)}}}


@pytest.fixture
def part():
    part = Part()
    part.numbers[1], part.numbers[2] = 10, 20
    part.labels["/a", ""] = "first"
    return part


@pytest.fixture
def blobs():
    return Blobs()


def test_nothing_was_saved(blobs):
    assert Checkpoint(blobs).load() is None


def test_rows_that_change_come_and_go(blobs, part):
    checkpoint = Checkpoint(blobs)
    assert checkpoint.save(part.changes)
    part.numbers[2], part.numbers[3] = 21, 30
    del part.numbers[1]
    part.labels["/b", "x"] = None
    assert checkpoint.save(part.changes)
    del part.labels["/b", "x"]
    part.numbers[1] = 11
    assert checkpoint.save(part.changes)
    assert part.asked == [True, False, False]
    assert Checkpoint(blobs).load() == part.tables()


def test_unchanged_rows_are_not_written_again(blobs, part):
    checkpoint = Checkpoint(blobs)
    for number in range(1000):
        part.numbers[number] = number
    checkpoint.save(part.changes)
    part.numbers[5] = 6
    checkpoint.save(part.changes)
    assert len(blobs[2]) < len(blobs[1]) / 10
    assert Checkpoint(blobs).load() == part.tables()


def test_everything_is_written_again_before_there_is_too_much_to_read(blobs, part):
    checkpoint = Checkpoint(blobs)
    for number in range(10 * LEAST_PARTS):
        part.numbers[number % 7] = number
        assert checkpoint.save(part.changes)
        assert len(blobs) <= LEAST_PARTS + 3
    assert sum(part.asked) > 5
    assert Checkpoint(blobs).load() == part.tables()


def test_the_next_ledger_begins_with_everything(blobs, part):
    Checkpoint(blobs).save(part.changes)
    following = Checkpoint(blobs)
    following.load()
    following.save(part.changes)
    assert part.asked == [True, True]
    assert len(blobs) == 1
    assert Checkpoint(blobs).load() == part.tables()


def test_rows_that_could_not_be_written_are_written_the_next_time(blobs, part, caplog):
    checkpoint = Checkpoint(blobs)
    checkpoint.save(part.changes)
    saved = part.tables()
    blobs.full = True
    part.numbers[1] = 11
    assert not checkpoint.save(part.changes)
    assert not checkpoint.save(part.changes)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert Checkpoint(blobs).load() == saved
    blobs.full = False
    assert checkpoint.save(part.changes)
    assert Checkpoint(blobs).load() == part.tables()


@pytest.mark.parametrize("left", range(6))
def test_killed_while_everything_is_written_again(blobs, part, left):
    checkpoint = Checkpoint(blobs)
    for number in range(3):
        part.numbers[5] = number
        checkpoint.save(part.changes)
    before = part.tables()
    following = Checkpoint(blobs)
    following.load()
    part.numbers[6] = 6
    blobs.changes_left = left
    try:
        following.save(part.changes)
    except KilledError:
        assert left < 4
    blobs.changes_left = None
    last = Checkpoint(blobs)
    assert last.load() == (part.tables() if left else before)
    assert len(blobs) == (1 if left else 3), "what is not needed is gone"


def test_a_gap_is_damage(blobs, part):
    checkpoint = Checkpoint(blobs)
    for number in range(3):
        part.numbers[5] = number
        checkpoint.save(part.changes)
    del blobs[2]
    with pytest.raises(LookupError):
        Checkpoint(blobs).load()


@pytest.mark.parametrize("data", [b"no zlib", *map(zlib.compress, (b"{", b"[]", b'{"parts":{}}'))])
def test_foreign_data_are_damage(blobs, data):
    blobs[1] = data
    with pytest.raises(ValueError, match=r"the checkpoint|Expecting"):
        Checkpoint(blobs).load()


def test_changes_that_cannot_be_collected_are_in_the_next_save(blobs, part):
    def interrupted(whole):
        part.changes(whole)
        raise MemoryError

    checkpoint = Checkpoint(blobs)
    assert checkpoint.save(part.changes)
    part.numbers[3] = 30
    with pytest.raises(MemoryError):
        checkpoint.save(interrupted)
    assert checkpoint.save(part.changes)
    assert Checkpoint(blobs).load() == part.tables()
