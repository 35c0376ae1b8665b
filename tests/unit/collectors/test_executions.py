"""Executions by label set, from the real pipeline over hand-written maps."""

from collections import Counter, deque
from types import SimpleNamespace

from exporter.collectors.flags import SeriesOptions
from exporter.events.labels import Labels
from exporter.metrics import definitions
from exporter.metrics.checkpoint import Checkpoint
from exporter.metrics.series import OTHER
from exporter.probe.exec_header import enum
from exporter.probe.record_queue import NOVELTY, RecordQueue
from tests.repetition import repetitions
from tests.unit.blobs import Blobs
from tests.unit.layouts import key
from tests.unit.maps import SECOND, Maps, family, pipeline_of


def counts(pipeline):
    return {labels.path: number for labels, number in family(pipeline, definitions.EXECUTIONS).items()}


def expired(pipeline):
    return family(pipeline, definitions.EXPIRED)[()]


def test_keys_with_the_same_labels_are_one_series():
    maps = Maps()
    pipeline = pipeline_of(maps)
    maps.execute(1, 5, path="same")
    maps.execute(2, 7, path="same")
    maps.execute(3, 1)
    assert counts(pipeline) == {"/same": 12, "/program-3": 1}


def test_counts_from_before_the_introduction_stay_unknown():
    maps = Maps()
    pipeline = pipeline_of(maps)
    maps.execute(1, 5)
    late, maps.records = maps.records, []
    pipeline.update()
    maps.records = late
    maps.execute(1, 3)
    assert counts(pipeline) == {"unknown": 5, "/program-1": 3}


def test_rules_make_the_labels():
    maps = Maps()
    rules = SimpleNamespace(apply=lambda labels: labels._replace(path=labels.path[:9]))
    pipeline = pipeline_of(maps, rules=rules)
    maps.execute(1, 2)
    maps.execute(2, 3)
    assert counts(pipeline) == {"/program-": 5}


def test_other_rules_and_limits_hold_for_what_is_counted_from_then_on():
    maps = Maps()
    pipeline = pipeline_of(maps, idle_seconds=10)
    maps.execute(1, 2)
    assert counts(pipeline) == {"/program-1": 2}
    short = SimpleNamespace(apply=lambda labels: labels._replace(path=labels.path[:9]))
    pipeline.reconfigure(SeriesOptions(2, 0, short))
    maps.execute(1, 3)
    maps.execute(2, 5, path="another")
    assert counts(pipeline) == {"/program-1": 2, "/program-": 3, OTHER: 5}
    maps.now = 11 * SECOND
    pipeline.evict()
    assert len(counts(pipeline)) == 3


def test_an_idle_key_is_removed_and_its_series_ends_and_a_new_one_starts():
    maps = Maps()
    pipeline = pipeline_of(maps, idle_seconds=10)
    maps.execute(1, 5)
    pipeline.evict()
    maps.now = 11 * SECOND
    pipeline.evict()
    assert maps.maps["execs"] == {}
    assert (counts(pipeline), expired(pipeline)) == ({}, 5)
    maps.execute(1, 2)
    assert counts(pipeline) == {"/program-1": 2}


def test_an_execution_between_reading_and_removing_is_counted():
    maps = Maps()
    pipeline = pipeline_of(maps, idle_seconds=10)
    maps.execute(1, 5)
    pipeline.update()
    maps.now = 11 * SECOND
    take = maps.take

    def take_late(name, raw):
        maps.execute(1, 3)
        return take(name, raw)

    maps.take = take_late
    pipeline.evict()
    assert counts(pipeline) == {"/program-1": 8}


def test_if_the_map_fills_the_oldest_keys_are_removed_and_their_series_stay():
    maps = Maps(capacity=100)
    pipeline = pipeline_of(maps)
    for number in range(80):
        maps.now = number * SECOND
        maps.execute(number, 2)
    pipeline.evict()
    assert len(maps.maps["execs"]) == 50
    assert Counter(counts(pipeline).values()) == {2: 80}
    for number in range(80):
        maps.execute(number)
    assert Counter(counts(pipeline).values()) == {3: 80}


def test_room_is_made_before_it_is_scarce_on_demand():
    maps = Maps(capacity=100)
    pipeline = pipeline_of(maps)
    for number in range(60):
        maps.execute(number)
    maps.now = SECOND
    pipeline.evict()
    assert len(maps.maps["execs"]) == 60
    pipeline.evict(room=True)
    assert len(maps.maps["execs"]) == 50
    assert len(counts(pipeline)) == 60


def test_the_map_is_known_to_fill_before_it_is_read():
    maps = Maps(capacity=100)
    pipeline = pipeline_of(maps)
    for number in range(76):
        maps.execute(number)
    assert not pipeline.filling
    pipeline.drain()
    assert pipeline.filling
    pipeline.update()
    assert pipeline.filling
    maps.now = SECOND
    pipeline.evict()
    assert not pipeline.filling


def test_named_keys_that_are_not_in_the_map_do_not_fill_it():
    maps = Maps(capacity=100)
    pipeline = pipeline_of(maps)
    pipeline.preload({key(file=number): Labels(f"/{number}", "", "null") for number in range(1000)})
    maps.execute(1)
    pipeline.update()
    assert not pipeline.filling


def test_a_key_that_is_being_executed_is_not_removed():
    maps = Maps(capacity=8)
    pipeline = pipeline_of(maps)
    for number in range(8):
        maps.execute(number)
    pipeline.evict()
    assert len(maps.maps["execs"]) == 8


def test_traits_are_counted_by_flag_and_where_they_were_seen_last():
    maps = Maps()
    pipeline = pipeline_of(maps)
    maps.now = 5 * SECOND
    maps.execute(1, 3, flags=8)  # KEY_MEMFD
    maps.execute(2, 4)
    seen = {trait: count for (trait,), count in family(pipeline, definitions.TRAITS_SEEN).items() if count}
    assert seen == {"memfd": 3}
    assert family(pipeline, definitions.TRAIT_LAST_SEEN) == {("memfd", "/program-1", "", "unknown"): 1005.0}


def test_the_places_where_traits_were_seen_are_the_newest_hundred():
    maps = Maps()
    pipeline = pipeline_of(maps)
    for number in range(250):
        maps.now = number * SECOND
        maps.execute(number, flags=8)
    shown = family(pipeline, definitions.TRAIT_LAST_SEEN)
    assert {path for _, path, *_ in shown} == {f"/program-{n}" for n in range(150, 250)}


def test_only_keys_that_were_executed_again_are_looked_at_again():
    maps = Maps()
    pipeline = pipeline_of(maps, queue=RecordQueue(Blobs(), ("novelty",)))
    maps.execute(1)
    maps.execute(2, 2)
    pipeline.update()
    assert pipeline.take_used() == {key(file=2)}, "its introduction does not say if both times it was the same file"
    pipeline.labels(key(file=1))
    pipeline.update()
    assert pipeline.take_used() == set()
    maps.execute(1)
    pipeline.update()
    assert pipeline.take_used() == {key(file=1)}


def test_a_record_that_does_not_fit_into_the_queue_is_to_be_looked_at_by_its_key():
    maps, blobs = Maps(), Blobs()
    pipeline = pipeline_of(maps, queue=RecordQueue(blobs, ("novelty",)))
    maps.execute(1)
    pipeline.drain()
    blobs.full = True
    maps.execute(2)
    assert counts(pipeline) == {"/program-1": 1, "/program-2": 1}
    assert pipeline.take_used() == {key(file=2)}
    assert (pipeline.queue.pending, pipeline.queue.refused) == (1, 1)


def largest(thing, seen):
    """Return the size of the largest container that an object of the exporter holds, at any depth."""
    if id(thing) in seen:
        return 0
    seen.add(id(thing))
    sizes = [len(thing)] if isinstance(thing, (dict, set, list, deque)) else []
    parts = thing.values() if isinstance(thing, dict) else vars(thing).values() if hasattr(thing, "__dict__") else ()
    inner = [part for part in parts if isinstance(part, dict) or type(part).__module__.startswith("exporter.")]
    if hasattr(thing, "__dict__"):
        inner += [part for part in vars(thing).values() if isinstance(part, (set, list, deque))]
    return max([*sizes, *(largest(part, seen) for part in inner)], default=0)


def test_very_many_programs_stay_within_the_limit_and_the_sum_is_exact():
    maps = Maps(capacity=8192)
    pipeline = pipeline_of(maps, limit=100, idle_seconds=3600)
    remembered, programs = set(), repetitions(100_000, exhaustive=1_000_000)
    for first in range(0, programs, 2500):
        numbers = range(first, first + 2500)
        pipeline.preload({key(file=number): Labels(f"/program-{number}", "", "unknown") for number in numbers})
        for number in numbers:
            maps.execute(number, introduce=False)
        maps.now += 2 * SECOND
        pipeline.evict()
        if first % 25_000 == 0:
            remembered.add(largest(pipeline, {id(maps)}))
    rows = family(pipeline, definitions.EXECUTIONS)
    assert len(rows) <= 101
    assert family(pipeline, definitions.SERIES)[()] <= 100
    assert 0 < max(remembered) <= 8192
    assert sum(rows.values()) + expired(pipeline) + maps.lost == maps.runs == programs
    assert rows[Labels(OTHER, OTHER, "unknown")] == family(pipeline, definitions.FOLDED)[()] > 0.9 * programs


UPPER = enum("key_flag")["KEY_UPPER_LAYER"]
COPIED = UPPER | enum("key_flag")["KEY_COPIED_UP"]


def in_upper_layer(pipeline):
    return family(pipeline, definitions.TRAITS_SEEN)[("container_upper_layer",)]


def judging(maps, **options):
    """A pipeline to whose records novelty listens."""
    return pipeline_of(maps, queue=RecordQueue(Blobs(), (NOVELTY,)), **options)


def test_what_was_written_into_a_container_counts_at_once():
    maps = Maps()
    pipeline = judging(maps)
    maps.execute(1, 5, flags=UPPER)
    assert in_upper_layer(pipeline) == 5


def test_a_file_that_was_copied_up_counts_once_it_is_judged_to_be_written_to():
    maps = Maps()
    pipeline = judging(maps)
    maps.execute(1, 5, flags=COPIED)
    maps.execute(2, 7, flags=COPIED)
    assert in_upper_layer(pipeline) == 0
    pipeline.copied_up.judge(key(file=1, flags=COPIED), written=True)
    pipeline.copied_up.judge(key(file=2, flags=COPIED), written=False)
    assert in_upper_layer(pipeline) == 5
    maps.execute(1, 2, flags=COPIED)
    maps.execute(2, 3, flags=COPIED)
    assert in_upper_layer(pipeline) == 7
    assert [labels[1] for labels in family(pipeline, definitions.TRAIT_LAST_SEEN)] == ["/program-1"]


def test_a_file_that_was_copied_up_and_is_not_judged_in_time_counts():
    maps = Maps()
    pipeline = judging(maps)
    maps.execute(1, 5, flags=COPIED)
    assert in_upper_layer(pipeline) == 0
    maps.now = 61 * SECOND
    assert in_upper_layer(pipeline) == 5


def test_a_file_that_was_copied_up_counts_if_nobody_judges():
    maps = Maps()
    pipeline = pipeline_of(maps)
    maps.execute(1, 5, flags=COPIED)
    assert in_upper_layer(pipeline) == 5


def test_a_file_that_was_copied_up_counts_before_its_key_is_evicted():
    maps = Maps()
    pipeline = judging(maps, idle_seconds=10)
    maps.execute(1, 5, flags=COPIED)
    pipeline.evict()
    maps.now = 11 * SECOND
    pipeline.evict()
    assert maps.maps["execs"] == {}
    assert in_upper_layer(pipeline) == 5


def test_eviction_of_a_key_does_not_judge_other_files():
    maps = Maps()
    pipeline = judging(maps)
    maps.execute(1, 5, flags=COPIED)
    maps.execute(2, 7, flags=COPIED)
    pipeline.update()
    pipeline._executions.evict([key(file=1, flags=COPIED)])
    assert in_upper_layer(pipeline) == 5
    pipeline.copied_up.judge(key(file=2, flags=COPIED), written=False)
    assert in_upper_layer(pipeline) == 5


def test_a_file_that_was_copied_up_is_judged_after_a_restart():
    maps, blobs = Maps(), Blobs()
    checkpoint = Checkpoint(blobs)
    pipeline = judging(maps, checkpoint=checkpoint)
    maps.execute(1, 5, flags=COPIED)
    maps.execute(2, 7, flags=COPIED)
    pipeline.flush()
    restarted = judging(maps, checkpoint=Checkpoint(blobs))
    restarted.copied_up.preload({key(file=1, flags=COPIED): True, key(file=2, flags=COPIED): False})
    restarted.update()
    assert in_upper_layer(restarted) == 5
