from itertools import combinations

import pytest
from prometheus_client.openmetrics.exposition import generate_latest

from exporter.metrics import definitions
from exporter.metrics.family import HistogramRows, RowFamily
from exporter.metrics.render import OPENMETRICS, Renderer
from exporter.metrics.selection import ALL, Selection, parse

ENABLED = {"executions", "forks", "probe", "preload"}
HOSTILE = '# a\nexec_forks_total 1\n\u2028exec_forks_total{x="y"} 2'


@pytest.mark.parametrize(
    ("query", "selection"),
    [
        ("", ALL),
        ("x=y&collect=forks", ALL),
        ("collect[]=forks", Selection(frozenset({"forks"}))),
        ("collect%5B%5D=forks&collect[]=probe&collect[]=forks", Selection(frozenset({"forks", "probe"}))),
        ("exclude[]=forks&exclude[]=processes", Selection(frozenset({"executions", "probe", "preload"}))),
        ("name[]=a&name[]=b", Selection(None, frozenset({"a", "b"}))),
        ("name[]=a&collect[]=probe", Selection(frozenset({"probe"}), frozenset({"a"}))),
        ("name[]=", Selection(None, frozenset({""}))),
    ],
)
def test_a_query_selects_collectors_and_names(query, selection):
    assert parse(query, ENABLED) == selection


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("collect[]=forks&exclude[]=probe", "collect[] and exclude[] cannot be combined"),
        ("collect[]=nothing", "unknown collector 'nothing': give one of executions, processes"),
        ("collect[]=", "unknown collector '': give one of"),
        ("exclude[]=nothing", "unknown collector 'nothing': give one of"),
        ("collect[]=preload", "unknown collector 'preload'"),
        ("collect[]=forks&collect[]=processes", "the collector processes is disabled"),
        ("collect[]=a%0D%0A%F0%9F%98%80", r"unknown collector 'a\r\n\U0001f600': give"),
        (f"collect[]={'x' * 5000}", f"unknown collector '{'x' * 100}': give"),
    ],
)
def test_what_cannot_be_collected_is_refused_in_one_line(query, error):
    with pytest.raises(ValueError, match="coll") as refused:
        parse(query, ENABLED)
    assert str(refused.value).startswith(error)
    assert str(refused.value).isprintable()


def families():
    plain = definitions.BUILD_INFO.family()
    plain.add_metric((HOSTILE, "3", "0"), 1)
    buckets = (*range(len(definitions.LIFETIME.bounds) + 1), 1)
    return [
        RowFamily(definitions.EXECUTIONS, {(HOSTILE, "", "file"): 1, ("/a", "", "pipe"): 2}),
        HistogramRows(definitions.LIFETIME, {(HOSTILE,): buckets, ("/a",): buckets}),
        RowFamily(definitions.FORKS, {("process",): 3, ("thread",): 4}),
        plain,
    ]


NAMES = (
    "exec_executions_total",
    "exec_lifetime_seconds_bucket",
    "exec_lifetime_seconds_sum",
    "exec_forks_total",
    "exec_exporter_build_info",
    "exec_forks_total{",
    "nothing",
)


@pytest.mark.parametrize("names", [names for n in (1, 2, 7) for names in combinations(NAMES, n)])
def test_names_select_the_samples_that_the_client_library_selects(names):
    selected = Renderer(OPENMETRICS).render(families(), Selection(None, frozenset(names)))

    class Restricted:  # as prometheus_client's RestrictedRegistry, which accepts families of its own alone
        def collect(self):
            for family in families():
                samples = [sample for sample in family.samples if sample.name in names]
                if samples:
                    yield type("Family", (), {**{n: getattr(family, n) for n in WORDS}, "samples": samples})

    assert selected == generate_latest(Restricted())


WORDS = ("name", "documentation", "type", "unit")


def test_the_name_of_a_family_selects_all_its_samples():
    selected = Renderer(OPENMETRICS).render(families(), Selection(None, frozenset({"exec_lifetime_seconds"})))
    assert selected == Renderer(OPENMETRICS).render(families()[1:2])
