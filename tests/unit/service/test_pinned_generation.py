"""The digest by which a pinned probe is adopted."""

import pytest

from exporter.collectors.flags import SWITCHES
from exporter.probe.probe import SOURCE
from exporter.probe.program import ATTACHED, COLLECTED, ProbeSettings
from exporter.service.pinned_generation import digest

ALL = frozenset(SWITCHES)


@pytest.mark.parametrize("collector", sorted(ALL))
def test_a_collector_changes_the_digest_if_it_changes_what_is_compiled_or_attached(collector):
    with_it, without = (digest(SOURCE, ProbeSettings(collect=collect)) for collect in (ALL, ALL - {collector}))
    assert (with_it != without) == (collector in {*COLLECTED, *ATTACHED})


def test_every_default_collector_of_the_probe_is_in_the_digest():
    assert ProbeSettings().collect <= {*COLLECTED, *ATTACHED}
