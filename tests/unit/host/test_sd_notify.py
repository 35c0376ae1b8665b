import os
import socket

import pytest

from exporter.host.sd_notify import notify


@pytest.mark.parametrize("address", ["{directory}/socket", "@exec_exporter-test-{pid}"])
def test_the_service_manager_receives_the_state(tmp_path, monkeypatch, address):
    address = address.format(directory=tmp_path, pid=os.getpid())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address.replace("@", "\0"))
        manager.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        notify("READY=1")
        assert manager.recv(100) == b"READY=1"


def test_a_manager_that_is_gone_is_logged(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("NOTIFY_SOCKET", f"{tmp_path}/gone")
    notify("STOPPING=1")
    assert [record.getMessage() for record in caplog.records] == [
        "cannot notify systemd of STOPPING=1: No such file or directory"
    ]


def test_without_a_manager_nothing_happens(monkeypatch, caplog):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify("READY=1")
    assert not caplog.records
