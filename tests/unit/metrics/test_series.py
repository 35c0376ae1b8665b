import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics.series import OTHER, Levels, Limit, Totals


def totals(most, **options):
    return Totals(Limit(most), lambda _: OTHER, **options)


def test_a_label_set_for_which_there_is_no_room_is_counted_in_other():
    series = totals(2)
    for name in ("a", "b", "c", "d", "a"):
        series.add(name, (5,), 0, 0)
    assert series.rows == {"a": [10], "b": [5], OTHER: [10]}
    assert series.folded == 10


def test_a_program_named_other_is_not_folded_and_takes_no_room():
    series = totals(1)
    series.add(OTHER, (5,), 0, 0)
    series.add("a", (1,), 0, 0)
    assert series.rows == {OTHER: [5], "a": [1]}
    assert series.folded == 0


def test_idle_series_end_and_make_room():
    series = totals(1)
    series.add("a", (5,), 10, 0)
    series.expire(10)
    assert series.rows == {"a": [5]}
    series.expire(11)
    assert (series.rows, series.expired) == ({}, 5)
    series.add("b", (2,), 12, 0)
    assert (series.rows, series.folded) == ({"b": [2]}, 0)


def test_restored_totals_equal_the_saved_ones():
    series, kept = totals(2), {}
    for change in (
        lambda: [series.add(name, (5,), 10, 0) for name in ("a", "b", "c")],
        lambda: series.add("b", (1,), 12, 0),
        lambda: series.expire(11),
    ):
        change()
        for table, rows in series.changes(whole=False).items():
            kept.setdefault(table, {}).update(rows)
    assert (kept["rows"].pop("a"), kept["created"].pop("a")) == (None, None)
    assert kept == {table: dict(rows) for table, rows in series.changes(whole=True).items()}
    following = totals(2)
    following.restore(kept, str)
    assert (following.rows, following.expired, following.folded) == (series.rows, 5, 5)


def test_a_series_keeps_the_time_at_which_it_was_0():
    series = totals(2)
    for now, (name, since) in enumerate([("a", 3.0), ("a", 2.0), ("b", 7.00049), ("c", 9.5), ("d", 8.5)]):
        series.add(name, (1,), now, since)
    assert series.created == {"a": 3.0, "b": 7.0, OTHER: 9.5}
    following = totals(2)
    following.restore({table: dict(rows) for table, rows in series.changes(whole=True).items()}, str)
    following.add("a", (1,), 9, 20.0)
    assert following.created == {"a": 3.0, "b": 7.0, OTHER: 9.5}
    following.expire(9)
    following.add("b", (1,), 10, 21.0)
    assert following.created == {"a": 3.0, "b": 21.0, OTHER: 9.5}


def test_series_of_builds_that_did_not_save_when_they_were_0_have_no_time():
    series = totals(2)
    tables = {"rows": {"a": ([5], 1), "b": ([6], 2)}, "sums": {"folded": 0, "expired": 0}}
    series.restore(tables, str)
    series.add("a", (1,), 3, 20.0)
    assert series.created == {}
    series.expire(3)
    series.add("b", (1,), 4, 21.0)
    assert (series.rows, series.created) == ({"a": [6], "b": [1]}, {"b": 21.0})


def test_other_never_ends():
    series = totals(0)
    series.add("a", (5,), 0, 0)
    series.expire(100)
    assert (series.rows, series.expired) == ({OTHER: [5]}, 0)


def test_a_row_of_several_label_sets_takes_their_room():
    limit = Limit(7)
    series = Totals(limit, lambda _: OTHER, width=2, sets=4)
    series.add("a", (1, 2), 0, 0)
    series.add("b", (3, 4), 0, 0)
    assert series.rows == {"a": [1, 2], OTHER: [3, 4]}
    assert limit.used == 4
    series.expire(1)
    assert limit.used == 0


names = st.sampled_from(["a", "b", "c", "d", "e", OTHER])
steps = st.lists(
    st.one_of(st.tuples(names, st.integers(1, 9)), st.tuples(st.none(), st.integers(0, 40))), min_size=1, max_size=80
)


@given(most=st.integers(0, 4), history=steps)
def test_no_series_goes_down_while_it_is_there_and_nothing_is_forgotten(most, history):
    limit = Limit(most)
    series, added = Totals(limit, lambda _: OTHER), 0
    for now, (name, number) in enumerate(history):
        before = {labels: row[0] for labels, row in series.rows.items()}
        if name is None:
            series.expire(now - number)
        else:
            series.add(name, (number,), now, 0)
            added += number
        assert all(series.rows[labels][0] >= count for labels, count in before.items() if labels in series.rows)
        assert name is None or before.keys() <= series.rows.keys()
        assert sum(row[0] for row in series.rows.values()) + series.expired == added
        assert limit.used == len(series.rows.keys() - {OTHER}) <= most


def test_levels_show_what_there_is_and_0_for_what_was():
    levels = Levels(Limit(2), OTHER)
    levels.set({"a": 3, "b": 1}, 1)
    levels.set({"b": 2}, 2)
    assert levels.rows == {"a": 0, "b": 2}
    levels.expire(2)
    assert levels.rows == {"b": 2}
    levels.set({"b": 1, "c": 4}, 3)
    assert levels.rows == {"b": 1, "c": 4}


def test_levels_without_room_are_added_up():
    levels = Levels(Limit(1), OTHER)
    levels.set({"a": 1, "b": 2, "c": 3}, 1)
    assert levels.rows == {"a": 1, OTHER: 5}
    levels.set({"b": 2}, 2)
    assert levels.rows == {"a": 0, OTHER: 2}


@pytest.mark.parametrize("most", [0, 1, 3])
def test_levels_never_take_more_room_than_there_is(most):
    limit = Limit(most)
    levels = Levels(limit, OTHER)
    for now in range(20):
        levels.set({str(now % 7): 1, str(now % 5): 1, OTHER: 1}, now)
        levels.expire(now - 3)
        assert limit.used == len(levels.rows.keys() - {OTHER}) <= most


def test_rows_change_when_one_comes_or_goes_and_not_when_one_grows():
    series = Totals(Limit(1), lambda _: OTHER)
    changes = []
    for change in (
        lambda: series.add("a", (1,), 1, 0),
        lambda: series.add("a", (1,), 2, 0),
        lambda: series.add("b", (1,), 3, 0),  # the first series that is folded
        lambda: series.add("c", (1,), 4, 0),
        lambda: series.expire(2),
        lambda: series.expire(3),
    ):
        series.changed_rows = False
        change()
        changes.append(series.changed_rows)
    assert changes == [True, False, True, False, False, True]
