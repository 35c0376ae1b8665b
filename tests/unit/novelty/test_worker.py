"""The worker: a real thread, a real queue over a map of the test, a real catalogue that fails and recovers."""

import sqlite3
import threading
import time
from contextlib import closing

import pytest

from exporter.catalogue import sqlite_file
from exporter.catalogue.accepted_file import AcceptedFile
from exporter.catalogue.learning import Learning
from exporter.catalogue.recovery import RecoveringCatalogue
from exporter.events.copied_up import CopiedUp
from exporter.events.labels import Labels
from exporter.host.interruption import Interruption
from exporter.host.packages import Packages
from exporter.novelty import worker
from exporter.novelty.baseline import Baseline
from exporter.novelty.detector import Bounds, Detector, Introductions
from exporter.novelty.file_content import Reader
from exporter.novelty.hashing import Hasher, Throttle
from exporter.novelty.worker import Worker
from exporter.probe.record_queue import NOVELTY, RecordQueue
from tests.unit.blobs import Blobs
from tests.unit.novelty.host import DECODER, record_of, records
from tests.unit.novelty.test_file_content import executed_of


def until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it does not come about"
        time.sleep(0.01)


class Service:
    """Novelty as the exporter starts it, without a probe."""

    def __init__(self, directory, blobs, learning_seconds=0.0, bytes_per_second=64 << 20, at_start=tuple):
        self.path = directory / "state" / "catalogue.db"
        self.queue = RecordQueue(blobs, (NOVELTY,))
        self.recovering = RecoveringCatalogue(self.path)
        interruption = Interruption()
        throttle = Throttle(bytes_per_second, sleep=interruption.sleep)
        reader = Reader("/", Hasher(throttle=throttle), Packages(), interruption)
        baseline = Baseline(Learning(learning_seconds), reader, trust_packages=False, at_start=at_start)
        unknown = Labels("unknown", "unknown", "unknown")
        introductions = Introductions(DECODER, lambda _: unknown, set, CopiedUp(DECODER))
        detector = Detector(introductions, records, reader, baseline, AcceptedFile(None), Bounds())
        self.worker = Worker(detector, self.recovering, self.queue, interruption)

    @property
    def snapshot(self):
        return self.worker.snapshot

    def sql(self, statement):
        with closing(sqlite3.connect(self.path)) as db, db:
            return db.execute(statement).fetchall()


@pytest.fixture
def blobs():
    return Blobs()


@pytest.fixture
def service(tmp_path, blobs):
    service = Service(tmp_path, blobs)
    yield service
    service.worker.close()


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "program"
    path.write_bytes(b"content")
    return path


def test_a_record_becomes_a_finding_and_is_acknowledged(service, program, blobs):
    service.worker.start()
    service.queue.add(record_of(program))
    until(lambda: service.snapshot.open_findings == 1)
    ((_, _, path, _),) = service.snapshot.open
    assert (path, service.snapshot.state) == (str(program), "watching")
    until(lambda: not blobs)


def test_at_the_end_everything_that_has_come_is_judged_at_once(service, tmp_path, blobs, monkeypatch):
    monkeypatch.setattr(worker, "FINISH_SECONDS", 60.0)
    service.worker.start()
    until(lambda: service.snapshot.state == "watching")
    for number in range(600):
        path = tmp_path / f"program-{number}"
        path.write_bytes(b"%d" % number)
        service.queue.add(record_of(path))
    service.worker.close()
    assert not blobs
    assert service.sql("SELECT count(*) FROM findings") == [(600,)]


def test_the_next_process_continues_with_unacknowledged_records(service, program, tmp_path, blobs):
    service.worker.start()
    service.worker.close()
    service.queue.add(record_of(program))
    service.queue.close()
    following = Service(tmp_path, blobs)
    following.worker.start()
    until(lambda: following.snapshot.open_findings == 1)
    following.worker.close()
    assert not blobs


def test_a_stop_ends_reading_and_leaves_the_rest_to_the_next_process(tmp_path, blobs):
    """At this rate, reading takes for ever."""
    service = Service(tmp_path, blobs, bytes_per_second=1)
    service.worker.start()
    until(lambda: service.snapshot.state == "watching")
    paths = [tmp_path / f"program-{number}" for number in range(3)]
    for path in paths:
        path.write_bytes(b"x" * (2 << 20))
        service.queue.add(record_of(path))
    service.worker.close()
    assert len(blobs) == 3
    service.queue.close()
    following = Service(tmp_path, blobs)
    following.worker.start()
    until(lambda: not blobs)
    following.worker.close()
    assert following.sql("SELECT path, length(content) FROM findings ORDER BY path") == [(str(p), 32) for p in paths]


def test_a_stop_while_it_reads_what_runs_leaves_that_to_the_next_process(tmp_path, program, blobs):
    program.write_bytes(b"x" * (2 << 20))
    executed = executed_of(program)
    service = Service(tmp_path, blobs, learning_seconds=60.0, bytes_per_second=1, at_start=lambda: [executed])
    service.worker.start()
    service.worker.close()
    assert service.sql("SELECT * FROM programs") == []
    following = Service(tmp_path, blobs, learning_seconds=60.0, at_start=lambda: [executed])
    following.worker.start()
    until(lambda: following.sql("SELECT path, origin FROM programs") == [(str(program), "seeded")])
    following.worker.close()


def test_a_stop_does_not_wait_for_who_has_locked_the_catalogue(tmp_path, program, blobs, monkeypatch):
    monkeypatch.setattr(sqlite_file, "BUSY_SECONDS", 3600.0)
    before = set(threading.enumerate())
    service = Service(tmp_path, blobs)
    service.worker.start()
    until(lambda: service.snapshot.state == "watching")
    with closing(sqlite3.connect(service.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        service.queue.add(record_of(program))
        service.worker.close()
        assert len(blobs) == 1
        service.queue.close()
    until(lambda: set(threading.enumerate()) <= before)
    service.recovering.close()  # as the end of the process does
    following = Service(tmp_path, blobs)
    following.worker.start()
    until(lambda: not blobs)
    following.worker.close()


def test_counters_of_the_last_process_are_there_when_it_has_started(service, program, tmp_path):
    service.queue.add(record_of(program))
    service.worker.start()
    service.worker.close()
    following = Service(tmp_path, Blobs())
    assert following.snapshot.totals == {}
    following.worker.start()
    assert following.snapshot.totals == {"new_path": 1}
    following.worker.close()


def test_a_catalogue_that_fails_is_tried_again_and_its_records_wait(service, program, blobs):
    service.worker.start()
    until(lambda: service.snapshot.state == "watching")
    service.sql("CREATE TRIGGER broken BEFORE INSERT ON keys BEGIN SELECT RAISE(ABORT, 'broken'); END")
    service.queue.add(record_of(program))
    until(lambda: service.snapshot.errors > 0)
    assert len(blobs) == 1
    assert service.snapshot.open_findings == 0
    service.sql("DROP TRIGGER broken")
    until(lambda: not blobs)
    assert service.snapshot.totals == {"new_path": 1}


def test_a_deleted_catalogue_is_replaced_and_its_state_is_lost(tmp_path, program, blobs):
    service = Service(tmp_path, blobs, learning_seconds=3600.0)
    service.worker.start()
    until(lambda: service.snapshot.state == "learning")
    service.path.rename(tmp_path / "away.db")
    until(lambda: service.snapshot.state == "lost")
    assert service.snapshot.errors == 1
    service.queue.add(record_of(program))
    until(lambda: not blobs)
    assert service.sql("SELECT path, origin FROM programs") == [(str(program), "learnt")]
    service.worker.close()


def test_without_a_catalogue_records_wait_until_there_is_one(tmp_path, program, blobs):
    (tmp_path / "state").write_text("a file where a directory should be")
    service = Service(tmp_path, blobs)
    assert service.snapshot.state == "lost"
    service.worker.start()
    service.queue.add(record_of(program))
    until(lambda: service.snapshot.errors > 1)
    assert len(blobs) == 1
    (tmp_path / "state").unlink()
    until(lambda: not blobs)
    assert service.snapshot.state == "watching"
    service.worker.close()


def test_records_that_found_no_room_are_shown(service, program, blobs):
    blobs.full = True
    service.queue.add(record_of(program))
    assert service.snapshot.deferred == 1


def test_it_ends_though_it_was_never_started(service):
    service.worker.close()
    assert service.recovering.catalogue is None
