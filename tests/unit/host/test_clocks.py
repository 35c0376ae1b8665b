import time

import pytest

from exporter.host.clocks import boot_ns, boot_time_ns, namespace_offset_ns

OWN = "time:[4026532000]"


def process(directory, namespace, offsets=None):
    (directory / "ns").mkdir()
    (directory / "ns/time").symlink_to(namespace)
    if offsets is not None:
        (directory / "timens_offsets").write_text(f"monotonic           0         0\nboottime   {offsets}\n")
    return directory


@pytest.mark.parametrize(
    ("offsets", "expected"),
    [("864000         0", 864000 * 10**9), ("  -86400 250000000", -86400 * 10**9 + 250_000_000), ("0    0", 0)],
)
def test_what_a_time_namespace_adds(tmp_path, offsets, expected):
    assert namespace_offset_ns(process(tmp_path, OWN, offsets)) == expected


def test_in_the_namespace_of_the_host_offsets_are_those_of_children(tmp_path):
    assert namespace_offset_ns(process(tmp_path, "time:[4026531834]", "864000 0")) == 0


def test_a_kernel_without_time_namespaces(tmp_path):
    assert namespace_offset_ns(tmp_path) == 0


def test_of_this_process():
    before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    assert before <= boot_ns() + namespace_offset_ns() <= time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    assert abs(time.time_ns() - boot_time_ns() - boot_ns()) < 10**9
