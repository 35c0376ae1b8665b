import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.utils import floatToGoString

from exporter.metrics import definitions
from exporter.metrics.family import HistogramRows, RowFamily
from exporter.metrics.render import FORMATS, OPENMETRICS, TEXT, Renderer

REFERENCE = {TEXT: generate_latest, OPENMETRICS: generate_openmetrics}
LABEL_SETS = st.tuples(st.text(max_size=8), st.text(max_size=8), st.sampled_from(["file", "pipe"]))
TIMES = st.floats(1, 4e9)
COUNTS = st.one_of(st.integers(0, 1 << 64), st.floats(0), st.sampled_from([999_999, 1_000_000, 10**15, 0]))


class Families:
    def __init__(self, *families):
        self._families = families

    def collect(self):
        return self._families


def table(rows, metric=definitions.EXECUTIONS):
    return RowFamily(metric, rows)


@pytest.mark.parametrize("text_format", FORMATS)
@given(scrapes=st.lists(st.dictionaries(LABEL_SETS, COUNTS, max_size=6), min_size=1, max_size=4))
def test_the_output_equals_that_of_generate_latest(text_format, scrapes):
    renderer = Renderer(text_format)
    for rows in scrapes:  # the same renderer; series appear, change, disappear and return
        other = definitions.SERIES.family()
        other.add_metric((), len(rows))
        families = [table(rows), other, table({("execs",): len(rows)}, definitions.MAP_ENTRIES)]
        assert renderer.render(families) == REFERENCE[text_format](Families(*families))


@pytest.mark.parametrize("text_format", FORMATS)
@given(
    scrapes=st.lists(
        st.dictionaries(st.tuples(st.text(max_size=8)), st.lists(st.integers(0, 1 << 40), min_size=10, max_size=10)),
        min_size=1,
        max_size=4,
    ),
    total=st.floats(0, 1e18),
)
def test_histograms_equal_those_of_the_client_library(text_format, scrapes, total):
    renderer = Renderer(text_format)
    metric = definitions.LIFETIME
    for rows in scrapes:
        family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        for labels, buckets in rows.items():
            up_to = [sum(buckets[: index + 1]) for index in range(len(buckets))]
            bounds = [floatToGoString(bound) for bound in (*metric.bounds, float("inf"))]
            family.add_metric(labels, list(zip(bounds, up_to, strict=True)), total)
        ours = HistogramRows(metric, {labels: (*buckets, total) for labels, buckets in rows.items()})
        assert renderer.render([ours]) == REFERENCE[text_format](Families(family))


@given(scrapes=st.lists(st.dictionaries(LABEL_SETS, st.tuples(COUNTS, st.none() | TIMES)), min_size=1, max_size=4))
def test_created_timestamps_equal_those_of_the_client_library(scrapes):
    renderer, without, text = Renderer(OPENMETRICS), Renderer(OPENMETRICS, created=False), Renderer(TEXT)
    for rows in scrapes:
        family = definitions.EXECUTIONS.family()
        for labels, (value, created) in rows.items():
            family.add_metric(labels, value, created)
        counts = {labels: value for labels, (value, _) in rows.items()}
        ours = RowFamily(
            definitions.EXECUTIONS, counts, {labels: time for labels, (_, time) in rows.items() if time is not None}
        )
        assert renderer.render([ours]) == generate_openmetrics(Families(family))
        assert without.render([ours]) == generate_openmetrics(Families(table(counts)))
        assert text.render([ours]) == generate_latest(Families(table(counts)))


def test_created_timestamps_of_histograms_have_no_bucket():
    rows = {("a{ b",): (*[1] * 10, 2.5), ("b",): (*[1] * 10, 2.5)}
    family = HistogramRows(definitions.LIFETIME, rows, {("a{ b",): 1795503513.125})
    lines = Renderer(OPENMETRICS).render([family]).decode().splitlines()
    created = [number for number, line in enumerate(lines) if "_created" in line]
    assert [lines[number] for number in created] == ['exec_lifetime_seconds_created{path="a{ b"} 1.795503513125e+09']
    assert lines[created[0] - 1] == 'exec_lifetime_seconds_sum{path="a{ b"} 2.5'


@pytest.mark.parametrize("text_format", FORMATS)
def test_families_of_the_client_library_are_rendered_unchanged(text_format):
    registry = CollectorRegistry()
    Histogram("h", "A\nhelp with a \\.", ["a"], registry=registry).labels("x").observe(0.3)
    assert Renderer(text_format).render(registry.collect()).count(b"h_bucket") == 15
    registry_text, rendered = REFERENCE[text_format](registry), Renderer(text_format).render(registry.collect())
    assert rendered == registry_text


@pytest.mark.parametrize("text_format", FORMATS)
def test_the_cached_text_of_removed_series_is_dropped(text_format):
    renderer = Renderer(text_format)
    renderer.render([table({(str(n), "", "file"): 1 for n in range(1000)})])
    renderer.render([table({("1", "", "file"): 2})])
    assert sum(map(len, renderer._prefixes.values())) == 1
