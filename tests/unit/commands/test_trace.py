import os

import pytest

from exporter.commands import trace
from exporter.errors import ExporterError

RECORD = {
    "time": 951_782_400_123_456_789,
    "pid": 71,
    "ppid": 7,
    "uid": 1000,
    "cgroup": 5,
    "stdin_type": "pipe",
    "path": "/opt/run",
    "interpreter": "/bin/sh",
    "argv": ["run", "é"],
    **dict.fromkeys(("memfd", "deleted", "disconnected", "invoked_from_kernel"), False),
}


def wanted(*arguments):
    return trace._filter(trace.parse(list(arguments), {}))(RECORD)


def test_a_line_of_text_has_the_fields_that_people_need():
    assert trace.as_text(RECORD) == '00:00:00.123      71       7  1000 pipe      /opt/run (/bin/sh) ["run", "é"]'


def test_a_line_of_text_omits_absent_fields_and_names_unusual_ones():
    record = {**RECORD, "ppid": None, "interpreter": "", "argv": None, "memfd": True, "deleted": True}
    assert trace.as_text(record) == "00:00:00.123      71       -  1000 pipe      /opt/run [memfd deleted]"


def test_every_filter_has_to_match(tmp_path):
    assert wanted()
    assert wanted("--pid=71", "--uid=1000", "--cgroup=5", "--path=/opt/*")
    assert not wanted("--pid=71", "--path=/usr/*")
    assert not wanted("--pid=72")
    assert not wanted("--cgroup=6")


def test_a_cgroup_may_be_given_as_its_directory(tmp_path):
    inside = {**RECORD, "cgroup": os.stat(tmp_path).st_ino}  # noqa: PTH116 - one number
    accepts = trace._filter(trace.parse([f"--cgroup={tmp_path}"], {}))
    assert accepts(inside)
    assert not accepts(RECORD)
    with pytest.raises(ExporterError, match="cannot be read"):
        trace._filter(trace.parse([f"--cgroup={tmp_path}/gone"], {}))
