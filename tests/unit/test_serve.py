from io import BytesIO
from wsgiref.util import setup_testing_defaults

import pytest
from prometheus_client import CollectorRegistry, Counter

from exporter.serve import application


@pytest.fixture
def ask():
    registry = CollectorRegistry()
    Counter("c", "", registry=registry).inc()
    answer = application("/metrics", registry)

    def ask(path, method="GET"):
        environ = {"PATH_INFO": path, "REQUEST_METHOD": method, "wsgi.input": BytesIO()}
        setup_testing_defaults(environ)
        status = []
        body = b"".join(answer(environ, lambda line, headers: status.append(line)))
        return status[0], body.decode()

    return ask


def test_metrics_are_under_their_path(ask):
    status, body = ask("/metrics")
    assert status == "200 OK"
    assert "c_total 1.0" in body


def test_the_root_leads_to_them(ask):
    status, body = ask("/")
    assert status == "200 OK"
    assert '<a href="/metrics">' in body


def test_nothing_else_is_there(ask):
    assert ask("/favicon.ico")[0] == "404 Not Found"
    assert ask("/metrics/x")[0] == "404 Not Found"


def test_only_reading_is_allowed(ask):
    assert ask("/metrics", "POST")[0] == "405 Method Not Allowed"
