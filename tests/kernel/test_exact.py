"""Under load, with maps or a ring buffer too small, the sum stays exact and no series goes down."""

import pytest

from exporter.probe.features import FEATURES
from tests.kernel.programs import execute, script, static_elf, storm
from tests.kernel.running import running
from tests.kernel.scale import scaled

WORKERS = 4
TIMES = scaled(250, emulated=3)
PROGRAMS = 20
EXECUTED = TIMES * WORKERS * PROGRAMS


@pytest.fixture
def programs(tmp_path):
    """Return 20 programs; 4 processes execute each of them 250 times: 20,000 executions."""
    elfs = [static_elf(tmp_path / f"elf-{number}", salt=bytes([number])) for number in range(15)]
    return elfs + [script(tmp_path / f"script-{number}") for number in range(5)]


def test_every_execution_of_a_storm_is_counted(compiled, programs, tmp_path):
    compiled.probe.detach()
    before = compiled.scrape().value("exec_exporter_executions_lost_total")
    compiled.probe.attach()
    storm(programs, TIMES, WORKERS)
    compiled.probe.detach()
    scraped = compiled.scrape()
    found = {labels.path: count for labels, count in scraped.executions(tmp_path).items()}
    lost = scraped.value("exec_exporter_executions_lost_total") - before
    assert found.keys() == set(map(str, programs))
    assert max(found.values()) <= TIMES * WORKERS
    assert lost <= scraped.value("exec_exporter_executions_lost_total", cause="preempted")
    assert sum(found.values()) + lost == EXECUTED, "some are neither counted nor lost"
    assert scraped.sum_is_exact()


def test_a_full_map_loses_by_name_and_the_sum_stays_exact(programs, tmp_path):
    # without traits: the key of a new program changes after a minute, and a storm may take as long
    with running(map_entries=8, collect=frozenset()) as exporter:
        storm(programs, TIMES, WORKERS)
        exporter.probe.detach()
        scraped = exporter.scrape()
    found = {labels.path: count for labels, count in scraped.executions(tmp_path).items()}
    lost, preempted = (
        scraped.value("exec_exporter_executions_lost_total", cause=cause) for cause in ("map_full", "preempted")
    )
    assert 0 <= len(found) * TIMES * WORKERS - sum(found.values()) <= preempted
    assert lost + preempted >= EXECUTED - sum(found.values()) > 0
    assert lost > 0
    assert scraped.value("exec_exporter_map_entries", map="execs") == 8
    assert scraped.value("exec_exporter_map_capacity", map="execs") == 8
    assert scraped.sum_is_exact()


def test_with_a_ring_buffer_of_one_page_names_come_late_and_nothing_is_lost(tmp_path):
    programs = [static_elf(tmp_path / f"elf-{number}", salt=bytes([number])) for number in range(60)]
    with running(ring_buffer_pages=1) as exporter:
        rounds, named, before = 0, 0, {}
        while named < len(programs):
            rounds += 1
            assert rounds <= len(programs), "some names never come"
            for program in programs:
                execute(program)
            scraped = exporter.scrape()
            found = scraped.executions()
            assert all(found[labels] >= count for labels, count in before.items()), "a series went down"
            named, before = len(scraped.executions(tmp_path)), found
        deferred = scraped.value("exec_exporter_introductions_deferred_total")
        unknown = sum(scraped.executions("unknown").values())
        exporter.probe.detach()
        scraped = exporter.scrape()
    assert rounds > 1
    assert deferred > 0
    # other programs of this machine may have been unknown for a while, too
    named = sum(scraped.executions(tmp_path).values())
    assert rounds * len(programs) - unknown <= named < rounds * len(programs)
    assert scraped.value("exec_exporter_executions_lost_total") == 0
    assert scraped.sum_is_exact()


@pytest.mark.native
def test_names_that_came_late_but_before_the_scrape_are_complete(tmp_path):
    programs = [static_elf(tmp_path / f"elf-{number}", salt=bytes([number])) for number in range(60)]
    with running(ring_buffer_pages=1) as exporter:
        for _ in range(60):
            for program in programs:
                execute(program)
            exporter.pipeline.drain()
        scraped = exporter.scrape()
    assert scraped.value("exec_exporter_introductions_deferred_total") > 0
    assert set(scraped.executions(tmp_path).values()) == {60}
    assert len(scraped.executions(tmp_path)) == len(programs)


def test_scrapes_under_load_never_show_more_than_has_run(exporter, programs):
    import threading

    load = threading.Thread(target=storm, args=(programs, scaled(20, emulated=3), 2))
    load.start()
    scrapes = 0
    while load.is_alive():
        scraped = exporter.scrape()
        counted = scraped.value("exec_executions_total") + scraped.value("exec_exporter_executions_lost_total")
        assert counted <= scraped.value("exec_exporter_probe_runs_total")
        scrapes += 1
    load.join()
    assert scrapes


@pytest.mark.native
@pytest.mark.parametrize("feature", [feature.name for feature in FEATURES])
def test_without_a_feature_the_probe_still_counts_every_execution(tmp_path, feature, typed_loads):
    with running(without=frozenset({feature}), typed_loads=typed_loads) as exporter:
        for _ in range(7):
            execute(script(tmp_path / "script"))
            execute(static_elf(tmp_path / "static"))
        exporter.probe.detach()
        scraped = exporter.scrape()
        assert feature in {missing.name for missing in exporter.probe.missing}
    assert scraped.sum_is_exact()
    assert scraped.value("exec_executions_total") >= 14
    if feature == "program_file":
        assert {labels.path for labels in scraped.executions()} == {"unknown"}
    elif feature == "stdin":
        assert {labels.stdin_type for labels in scraped.executions()} == {"unknown"}
    else:
        assert sum(scraped.executions(tmp_path).values()) == 14
