from hypothesis import given
from hypothesis import strategies as st

from exporter.label import Labels
from exporter.series import Series

A, B, UNKNOWN = Labels("/a", "", "null"), Labels("/b", "", "null"), Labels("unknown", "unknown", "null")


def test_keys_with_the_same_labels_are_one_series():
    series = Series()
    series.update([(b"1", 5), (b"2", 7), (b"3", 1)], {b"1": A, b"2": A, b"3": B}.__getitem__)
    assert series.executions == {A: 12, B: 1}


def test_what_was_counted_before_the_name_came_stays_where_it_was():
    series = Series()
    series.update([(b"1", 5)], lambda _: UNKNOWN)
    series.update([(b"1", 8)], lambda _: A)
    assert series.executions == {UNKNOWN: 5, A: 3}


steps = st.lists(
    st.tuples(st.sampled_from([b"1", b"2", b"3"]), st.integers(0, 9), st.sampled_from([A, B, UNKNOWN])), max_size=40
)


@given(steps)
def test_no_series_goes_down_and_the_sum_is_that_of_the_map(history):
    series, totals, names = Series(), {}, {}
    before = {}
    for key, added, name in history:
        totals[key] = totals.get(key, 0) + added
        names[key] = name
        series.update(totals.items(), names.__getitem__)
        assert all(series.executions[labels] >= count for labels, count in before.items())
        assert sum(series.executions.values()) == sum(totals.values())
        before = dict(series.executions)
