"""Ordinary events raise no alert. All alerts are evaluated every minute for several hours."""

import pytest

from tests.unit.dashboards.rules_world import (
    END,
    EVENT,
    LOADER,
    PROGRAMS,
    RUNS,
    has_fired,
    level,
    ordinary,
    promtool,
    ramp,
)


@pytest.fixture
def silent(tmp_path):
    def silent(*instances, **expected):
        assert not promtool([has_fired(instances, **expected)], tmp_path)

    return silent


def new_programs(instance, begin, count=60):
    """Add programs that are executed for the first time: each series starts at 1, and some stay there."""
    for number in range(count):
        path, at = f"/opt/app/bin/tool-{number}", begin + number // 2
        labels = {"path": path, "interpreter": LOADER, "stdin_type": "null"}
        instance.set("exec_executions_total", ramp(number % 3, at, 1), **labels)
        instance.set("exec_exits_total", level(1, at), path=path, outcome="crash" if number % 2 else "success")
        instance.set("exec_binary_age_seconds_count", level(1, at), format="elf_dynamic")
    for error in ("EACCES", "ENOEXEC", "E2BIG", "ETXTBSY"):
        instance.set("exec_failures_total", ramp(0.5, begin, 1), error=error)
    instance.add("exec_exporter_probe_runs_total", count * 10, begin, begin + 60)


def burst(instance, begin, executions, killed, minutes=2):
    """Add many executions and killed workers at once."""
    path = next(iter(PROGRAMS))
    instance.add("exec_exporter_probe_runs_total", executions, begin, begin + minutes)
    instance.add(
        "exec_executions_total", executions, begin, begin + minutes, path=path, interpreter=LOADER, stdin_type="pipe"
    )
    instance.add("exec_exits_total", killed, begin, begin + minutes, path=path, outcome="crash")


def test_an_ordinary_day(silent):
    silent(ordinary("b:10042"))


def test_a_fresh_start_that_learns(silent):
    instance = ordinary("b:10042", begin=EVENT)
    new_programs(instance, EVENT, 200)
    burst(instance, EVENT + 1, 10_000, 300)
    instance.add("exec_novel_binaries_total", 900, EVENT, EVENT + 60, reason="new_path")
    silent(instance, ordinary("a:10042"))


def test_the_end_of_learning(silent):
    instance = ordinary("b:10042", begin=30)
    end = EVENT + 3
    instance.set("exec_exporter_learning_end_timestamp_seconds", level(60 * end, 30))
    instance.set(
        "exec_exporter_baseline_state", [int(m < end) if m >= 30 else None for m in range(END + 1)], state="learning"
    )
    instance.set(
        "exec_exporter_baseline_state", [int(m >= end) if m >= 30 else None for m in range(END + 1)], state="watching"
    )
    instance.add("exec_novel_binaries_total", 900, EVENT - 60, end, reason="new_path")
    silent(instance, ordinary("a:10042"))


def test_a_restart_of_the_exporter(silent):
    instance = ordinary("b:10042")
    burst(instance, EVENT, 0, 0)
    instance.restart(EVENT)
    instance.down(EVENT, EVENT + 2)
    silent(instance)


def test_restarts_of_the_exporter_in_a_row(silent):
    instance = ordinary("b:10042")
    for number in range(6):
        instance.restart(EVENT + 10 * number)
        instance.down(EVENT + 10 * number, EVENT + 10 * number + 1)
    silent(instance)


def test_a_reboot_of_the_host(silent):
    instance = ordinary("b:10042")
    burst(instance, EVENT - 2, 3_000, 400)
    instance.restart(EVENT)
    burst(instance, EVENT, 12_000, 50, minutes=4)
    new_programs(instance, EVENT)
    instance.down(EVENT, EVENT + 4)
    silent(instance)


def test_a_restart_of_prometheus(silent):
    instance = ordinary("b:10042")
    instance.not_scraped(EVENT, EVENT + 12)
    silent(instance)


def test_occasional_failures_of_scrapes(silent):
    instance = ordinary("b:10042")
    for minute in range(EVENT, END, 7):
        instance.down(minute, minute + 2)
    silent(instance)


def test_series_that_start_at_1(silent):
    instance = ordinary("b:10042")
    new_programs(instance, EVENT)
    silent(instance)


def test_a_series_limit_that_is_reached_is_one_alert(silent):
    instance = ordinary("b:10042")
    instance.set("exec_exporter_series", level(4000, EVENT))
    instance.set("exec_exporter_executions_folded_total", [max(0, m - EVENT) * 0.8 * RUNS for m in range(END + 1)])
    other = {"interpreter": "other", "stdin_type": "pipe"}
    instance.set("exec_executions_total", ramp(0.8 * RUNS, EVENT, 400), path="other", **other)
    instance.set("exec_exits_total", ramp(0.7 * RUNS, EVENT, 400), path="other", outcome="crash")
    instance.set("exec_exits_total", ramp(0.1 * RUNS, EVENT, 40), path="other", outcome="success")
    silent(instance, ExecExporterSeriesLimitReached=1)


def test_an_upgrade_of_packages(silent):
    instance = ordinary("b:10042")
    new_programs(instance, EVENT)
    burst(instance, EVENT, 15_000, 500, minutes=8)
    instance.add("exec_novel_binaries_total", 700, EVENT, EVENT + 8, reason="reinstalled")
    instance.add("exec_novel_binaries_total", 300, EVENT, EVENT + 8, reason="metadata_only")
    instance.add("exec_traits_total", 2_000, EVENT, EVENT + 8, trait="fresh_binary")
    for path in PROGRAMS:
        labels = {"path": path, "interpreter": LOADER, "stdin_type": "pipe"}
        for trait in ("fresh_binary", "path_truncated"):
            instance.set("exec_trait_last_seen_timestamp_seconds", level(60 * EVENT, EVENT), trait=trait, **labels)
    silent(instance)


def test_findings_of_reinstalled_files(silent):
    instance = ordinary("b:10042")
    for reason in ("reinstalled", "metadata_only", "temporary"):
        labels = {"id": "0a1b2c", "reason": reason, "path": "/usr/bin/grep", "interpreter": LOADER}
        instance.set("exec_novel_binary_first_seen_timestamp_seconds", level(60 * EVENT, EVENT), **labels)
    silent(instance)
