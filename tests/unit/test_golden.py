import re

from exporter.metrics import definitions
from tests.unit.golden import GOLDEN, exposition


def test_the_exposition_is_the_golden_one():
    assert exposition() == GOLDEN.read_text("utf-8"), "if that is meant: python -m tests.unit.golden"


def test_it_has_every_metric_of_the_table_and_no_other():
    shown = re.findall(r"^# TYPE (\S+) (\S+)$", exposition(), re.MULTILINE)
    assert sorted(shown) == sorted((metric.name, metric.type) for metric in definitions.METRICS)


def test_labels_that_have_few_values_have_those_of_the_table():
    for metric in definitions.METRICS:
        lines = re.findall(rf"^{metric.name}(?:_bucket|_sum|_count)?{{(.*)}} ", exposition(), re.MULTILINE)
        for label, values in metric.values.items():
            found = {value for line in lines for value in re.findall(rf'\b{label}="([^"]*)"', line)}
            assert found <= {*values, "ESTALE"}, metric.name
