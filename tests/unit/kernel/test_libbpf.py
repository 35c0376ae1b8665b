import errno

import pytest

from exporter.errors import USAGE, ExporterError
from exporter.kernel import libbpf


@pytest.mark.parametrize("hold_gil", [False, True])
def test_errors_are_raised(hold_gil):
    with pytest.raises(OSError, match=r"Bad file descriptor|Operation not permitted") as raised:
        libbpf.libbpf(hold_gil=hold_gil).bpf_map_delete_elem(-1, bytes(4))
    assert raised.value.errno in (errno.EBADF, errno.EPERM)


def test_where_it_is_not_installed_its_package_is_named(monkeypatch):
    monkeypatch.setattr(libbpf, "NAME", "libbpf.so.none")
    with pytest.raises(ExporterError) as raised:
        libbpf.libbpf.__wrapped__()
    assert raised.value.what == "libbpf is not installed (libbpf.so.none)"
    assert "libbpf1" in raised.value.remedy
    assert raised.value.status == USAGE
