import errno

import pytest

from exporter.collectors.arguments import FormatHistograms
from exporter.collectors.failures import failures
from exporter.kernel.symbols import HookError
from exporter.probe.exec_header import FORMATS, HISTOGRAMS
from exporter.probe.hooks import Hook
from tests.unit.maps import Maps


def test_errors_go_by_name_and_those_that_are_documented_are_there_from_the_start():
    maps = Maps()
    maps.failed = {errno.ENOENT: 3, errno.ESTALE: 2, 0: 1, 131: 4}
    (table,) = failures(maps)
    assert table.rows["ENOENT",] == 3
    assert table.rows["ESTALE",] == 2
    assert table.rows["ENOTRECOVERABLE",] == 4
    assert table.rows["other",] == 1
    assert table.rows["ELOOP",] == 0


def test_failures_that_nothing_sees_are_an_error():
    maps = Maps()
    maps.failure_hook = Hook(refused=("fexit: no", "tracepoint: no"))
    with pytest.raises(HookError, match="cannot be seen here: fexit: no; tracepoint: no"):
        list(failures(maps))


def test_histograms_are_added_up_over_cpus_and_sums_are_in_the_unit_of_the_name():
    source = Maps()
    age = HISTOGRAMS.index("binary_age")
    for cpu in source.cpus[FORMATS.index("script")]:
        cpu.buckets[12 * age + 2], cpu.sums[age] = 3, 4500
    tables = {table.metric.name: table for table in FormatHistograms(source).collect()}
    assert list(tables) == [
        "exec_arguments", "exec_arguments_bytes", "exec_environment_bytes", "exec_binary_age_seconds",
    ]  # fmt: skip
    row = tables["exec_binary_age_seconds"].rows["script",]
    assert row == (0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 9.0)
    assert all(sum(values) == 0 for key, values in tables["exec_arguments"].rows.items())


def test_a_sum_that_goes_round_goes_on():
    source = Maps()
    histograms = FormatHistograms(source)
    source.cpus[0][0].sums[0] = (1 << 64) - 10
    list(histograms.collect())
    source.cpus[0][0].sums[0] = 10
    assert next(iter(histograms.collect())).rows["elf_dynamic",][-1] == (1 << 64) + 10
