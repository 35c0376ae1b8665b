import json
import logging

from exporter.logs import _JSON, _Logfmt


def logged(message, level=logging.WARNING):
    record = logging.LogRecord("exporter.web.server", level, __file__, 1, message, (), None)
    record.created, record.msecs = 951_782_400.25, 250.0
    return record


def test_a_line_of_logfmt_has_time_level_source_and_message():
    line = _Logfmt().format(logged('it "works"\nforged=1'))
    start = "time=2000-02-29T00:00:00.250Z level=warn source=exporter.web.server msg="
    assert line == start + json.dumps('it "works"\nforged=1')


def test_a_line_of_json_has_the_same_fields():
    assert json.loads(_JSON().format(logged("ready", logging.CRITICAL))) == {
        "time": "2000-02-29T00:00:00.250Z",
        "level": "error",
        "source": "exporter.web.server",
        "msg": "ready",
    }
