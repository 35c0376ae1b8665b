"""The readers of the map of executions, fed with maps that are written by hand."""

from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.events.decode import Decoder
from exporter.events.labels import Labels
from exporter.events.names import Names
from exporter.metrics.series import OTHER
from tests.repetition import repetitions
from tests.unit.layouts import LAYOUTS, key
from tests.unit.maps import SECOND, Maps, executions_of


def counts(executions):
    return {labels.path: row[0] for labels, row in executions.totals.rows.items()}


def test_keys_with_the_same_labels_are_one_series():
    maps = Maps()
    executions = executions_of(maps)
    maps.execute(1, 5, path="same")
    maps.execute(2, 7, path="same")
    maps.execute(3, 1)
    executions.update()
    assert counts(executions) == {"/same": 12, "/program-3": 1}


def test_what_was_counted_before_the_name_came_stays_where_it_was():
    maps = Maps()
    executions = executions_of(maps)
    maps.execute(1, 5)
    held, maps.records = maps.records, []
    executions.update()
    maps.records = held
    maps.execute(1, 3)
    executions.update()
    assert counts(executions) == {"unknown": 5, "/program-1": 3}


def test_rules_make_the_labels():
    maps = Maps()
    executions = executions_of(maps, rules=lambda labels: labels._replace(path=labels.path[:9]))
    maps.execute(1, 2)
    maps.execute(2, 3)
    executions.update()
    assert counts(executions) == {"/program-": 5}


def test_a_key_that_is_idle_is_taken_out_and_its_series_ends_and_a_new_one_starts():
    maps = Maps()
    executions = executions_of(maps, idle_seconds=10)
    maps.execute(1, 5)
    executions.evict()
    maps.now = 11 * SECOND
    executions.evict()
    assert maps.maps["execs"] == {}
    assert (counts(executions), executions.totals.expired) == ({}, 5)
    maps.execute(1, 2)
    executions.update()
    assert counts(executions) == {"/program-1": 2}


def test_an_execution_between_reading_and_taking_out_is_counted():
    maps = Maps()
    executions = executions_of(maps, idle_seconds=10)
    maps.execute(1, 5)
    executions.update()
    maps.now = 11 * SECOND
    take = maps.take

    def take_late(name, raw):
        maps.execute(1, 3)
        return take(name, raw)

    maps.take = take_late
    executions.evict()
    assert counts(executions) == {"/program-1": 8}


def test_where_the_map_fills_the_oldest_keys_make_room_and_their_series_stay():
    maps = Maps(capacity=100)
    executions = executions_of(maps)
    for number in range(80):
        maps.now = number * SECOND
        maps.execute(number, 2)
    executions.evict()
    assert len(maps.maps["execs"]) == 50
    assert set(counts(executions).values()) == {2}
    assert len(counts(executions)) == 80
    for number in range(80):
        maps.execute(number)
    executions.update()
    assert set(counts(executions).values()) == {3}


def test_room_is_made_before_it_is_scarce_if_that_is_asked_for():
    maps = Maps(capacity=100)
    executions = executions_of(maps)
    for number in range(60):
        maps.execute(number)
    maps.now = SECOND
    executions.evict()
    assert len(maps.maps["execs"]) == 60
    executions.evict(room=True)
    assert len(maps.maps["execs"]) == 50
    assert len(counts(executions)) == 60


def test_the_map_is_known_to_fill_before_it_is_read():
    maps = Maps(capacity=100)
    names = Names(Decoder(LAYOUTS), maps.introductions)
    executions = executions_of(maps, names=names)
    for number in range(76):
        maps.execute(number)
    assert not executions.filling
    names.update()
    assert executions.filling
    executions.update()
    assert executions.filling
    maps.now = SECOND
    executions.evict()
    assert not executions.filling


def test_keys_that_have_a_name_and_are_not_in_the_map_do_not_fill_it():
    maps = Maps(capacity=100)
    names = Names(Decoder(LAYOUTS), maps.introductions)
    names.preload({key(file=number): Labels(f"/{number}", "", "null") for number in range(1000)})
    executions = executions_of(maps, names=names)
    maps.execute(1)
    executions.update()
    assert not executions.filling


def test_a_key_that_is_being_executed_is_not_taken_out():
    maps = Maps(capacity=8)
    executions = executions_of(maps)
    for number in range(8):
        maps.execute(number)
    executions.evict()
    assert len(maps.maps["execs"]) == 8


def test_traits_are_counted_by_flag_and_where_they_were_seen_last():
    maps = Maps()
    executions = executions_of(maps)
    maps.now = 5 * SECOND
    maps.execute(1, 3, flags=8)  # KEY_MEMFD
    maps.execute(2, 4)
    executions.update()
    assert {trait: count for trait, count in executions.traits.counts.items() if count} == {"memfd": 3}
    assert executions.traits.last_seen() == {("memfd", "/program-1", "", "unknown"): 1005.0}


def test_the_places_where_traits_were_seen_are_the_newest_hundred():
    maps = Maps()
    executions = executions_of(maps)
    for number in range(250):
        maps.now = number * SECOND
        maps.execute(number, flags=8)
    executions.update()
    assert {path for _, path, *_ in executions.traits.last_seen()} == {f"/program-{n}" for n in range(150, 250)}


def test_only_what_was_executed_again_is_to_be_looked_at_again():
    maps = Maps()
    decoder = Decoder(LAYOUTS)
    names = Names(decoder, maps.introductions)
    names.observe(lambda *_: None)
    executions = executions_of(maps, names=names)
    maps.execute(1)
    maps.execute(2, 2)
    executions.update()
    assert names.take_used() == {key(file=2)}, "whether that was the same, its introduction does not say"
    names.labels(key(file=1))
    executions.update()
    assert names.take_used() == set()
    maps.execute(1)
    executions.update()
    assert names.take_used() == {key(file=1)}


class AllNames:
    """Names that knows every name at once, and how many it has to remember."""

    def __init__(self):
        self.remembered = {}
        self.taken = self.introduced = 0

    def named(self, raw):
        return self.remembered.get(raw)

    def renamed(self):
        return set()

    def update(self):
        pass

    def labels(self, raw):
        return self.remembered.setdefault(raw, Labels(f"/program-{int.from_bytes(raw[4:24], 'little')}", "", "unknown"))

    def forget(self, raw):
        del self.remembered[raw]


def test_very_many_programs_stay_within_the_limit_and_the_sum_is_exact():
    programs = repetitions(100_000, exhaustive=1_000_000)
    maps, names = Maps(capacity=8192), AllNames()
    executions = executions_of(maps, limit=100, idle_seconds=3600, names=names)
    executions.save = lambda: executions.changes(whole=False)
    remembered = set()
    for number in range(programs):
        maps.execute(number, introduce=False)
        if number % 3000 == 2999:
            maps.now += 2 * SECOND
            executions.evict()
            executions.forget_paths(executions.programs())
            sizes = (
                executions._entries,
                executions._meanings,
                executions._keys,
                executions._keys._changed,
                executions._new,
                executions._paths,
                names.remembered,
                executions.totals.rows,
            )
            remembered.add(max(map(len, sizes)))
    executions.update()
    assert len(executions.totals.rows) <= 101
    assert executions.limit.used <= 100
    assert max(remembered) <= 8192
    total = sum(row[0] for row in executions.totals.rows.values())
    assert total + executions.totals.expired + maps.lost == maps.runs == programs
    assert executions.totals.rows[Labels(OTHER, OTHER, "unknown")][0] == executions.totals.folded > 0.9 * programs


moves = st.one_of(
    st.tuples(st.just("execute"), st.integers(0, 12), st.integers(1, 5)),
    st.tuples(st.just("wait"), st.integers(1, 8), st.just(0)),
    st.tuples(st.just("scrape"), st.just(0), st.just(0)),
    st.tuples(st.just("house"), st.just(0), st.just(0)),
    st.tuples(st.just("hold"), st.just(0), st.just(0)),
)


@settings(max_examples=300)
@given(capacity=st.integers(1, 10), limit=st.integers(0, 8), history=st.lists(moves, max_size=120))
def test_no_series_goes_down_and_the_sum_is_exact_whatever_happens(capacity, limit, history):
    maps = Maps(capacity)
    executions = executions_of(maps, limit=limit, idle_seconds=10)
    held = []
    for move, number, times in history:
        before = counts(executions)
        expired = executions.totals.expired
        if move == "execute":
            maps.execute(number, times)
        elif move == "wait":
            maps.now += number * SECOND
        elif move == "hold":  # introductions come late
            held, maps.records = maps.records, held
        elif move == "scrape":
            executions.update()
        else:
            executions.evict()
        after = counts(executions)
        assert all(after[path] >= count for path, count in before.items() if path in after)
        assert executions.totals.expired - expired == sum(count for path, count in before.items() if path not in after)
        if move in ("scrape", "house"):
            assert sum(after.values()) + executions.totals.expired + maps.lost == maps.runs
        assert executions.limit.used <= limit
