import pytest

from exporter.errors import ExporterError
from exporter.kernel.preflight import check, missing_capabilities


@pytest.mark.parametrize(
    ("effective", "missing"),
    [
        ("000001ffffffffff", []),
        ("0000000000200000", []),
        ("000000c000000000", []),
        ("0000008000000000", ["CAP_PERFMON"]),
        ("0000004000000000", ["CAP_BPF"]),
        ("0000000000000000", ["CAP_BPF", "CAP_PERFMON"]),
    ],
)
def test_capabilities_are_read_from_the_effective_set(effective, missing):
    assert missing_capabilities(f"Name:\tx\nCapPrm:\tffffffffffffffff\nCapEff:\t{effective}\n") == missing


def test_lockdown_in_confidentiality_mode_is_refused(tmp_path):
    (tmp_path / "status").write_text("CapEff:\t000001ffffffffff\n")
    (tmp_path / "lockdown").write_text("none integrity [confidentiality]\n")
    with pytest.raises(ExporterError, match="lockdown"):
        check(tmp_path / "status", tmp_path / "lockdown")
