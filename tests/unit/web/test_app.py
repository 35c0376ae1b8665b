import gzip
import threading

import pytest

from tests.unit.serving import rows, serving


@pytest.fixture(scope="module")
def served():
    with serving() as served:
        yield served


def test_metrics_are_under_their_path(served):
    status, headers, body = served.ask()
    assert status == 200
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert b'path="/usr/bin/program-2",stdin_type="file"} 2.0\n' in body


def test_openmetrics_and_gzip_are_served_if_accepted(served):
    accepting = {"Accept": "application/openmetrics-text; version=1.0.0", "Accept-Encoding": "deflate, gzip;q=0.5"}
    _, headers, body = served.ask(headers=accepting)
    assert headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(body).endswith(b"# EOF\n")


def test_the_landing_page_links_to_the_metrics(served):
    status, _, body = served.ask("/")
    assert status == 200
    for words in (b"exec_exporter", b"Version 0.", b"attached", b'href="/metrics"', b'href="/-/healthy"'):
        assert words in body


def test_health_and_readiness():
    why = []
    with serving(unready=lambda: "".join(why)) as served:
        assert served.ask("/-/healthy")[::2] == (200, b"OK\n")
        assert served.ask("/-/ready")[::2] == (200, b"OK\n")
        why.append("not attached")
        assert served.ask("/-/healthy")[0] == 200
        assert served.ask("/-/ready")[::2] == (503, b"not attached\n")
        assert b"Probe: not attached" in served.ask("/")[2]


def test_nothing_else_is_there(served):
    assert served.ask("/favicon.ico")[0] == 404
    assert served.ask("/metrics/x")[0] == 404
    assert served.ask("/metrics?a=b")[0] == 200


def test_only_reading_is_allowed(served):
    status, headers, _ = served.ask(method="POST")
    assert (status, headers["Allow"]) == (405, "GET, HEAD")
    status, headers, body = served.ask(method="HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) > 100


def test_a_failing_scrape_is_a_500_and_is_logged_once(caplog):
    def fail():
        raise OSError(5, "the map is gone")

    with serving(families=fail) as served:
        for _ in range(3):
            assert served.ask()[0] == 500
            assert served.ask("/-/healthy")[0] == 200
    assert len([record for record in caplog.records if "the map is gone" in record.message]) == 1


def test_more_scrapes_than_allowed_are_refused():
    go_on, asked = threading.Event(), threading.Event()

    def held():
        asked.set()
        go_on.wait(30)
        return rows(1)

    with serving(families=held, max_requests=1) as served:
        answers = []
        first = threading.Thread(target=lambda: answers.append(served.ask()[0]))
        first.start()
        assert asked.wait(30)
        status, headers, body = served.ask()
        assert (status, headers["Retry-After"]) == (503, "1")
        assert b"Limit of concurrent requests reached (1)" in body
        assert served.ask("/-/healthy")[0] == 200
        go_on.set()
        first.join()
        assert answers == [200]
        assert served.ask()[0] == 200
