"""The Prometheus of these tests scrapes, evaluates rules and answers queries."""

import http.server
import threading
from contextlib import contextmanager

import pytest

from tests.e2e.prometheus import prometheus


@contextmanager
def exposing(text):
    """Yield the address of a target that exposes a text."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_it_scrapes_evaluates_rules_and_answers(tmp_path):
    rules = tmp_path / "rules.yml"
    rules.write_text("groups: [{name: g, rules: [{record: double, expr: one * 2}, {alert: Never, expr: one > 1}]}]")
    with exposing("one 1\n") as address:
        jobs = [
            {"job_name": "here", "static_configs": [{"targets": [address]}]},
            {"job_name": "nowhere", "static_configs": [{"targets": ["127.0.0.1:1"]}]},
        ]
        with prometheus({"scrape_configs": jobs}, rule_files=[rules]) as server:
            server.wait_until(lambda: server.query("double"))
            assert server.query("double") == [({"__name__": "double", "job": "here", "instance": address}, 2.0)]
            server.wait_until(lambda: all(target["health"] != "unknown" for target in server.targets()))
            state = {target["labels"]["job"]: (target["health"], target["lastError"]) for target in server.targets()}
            assert state["here"] == ("up", "")
            assert state["nowhere"][0] == "down"
            assert "connection refused" in state["nowhere"][1]
            assert server.query("1 + 1") == [({}, 2.0)]
            assert [rule["name"] for rule in server.api("rules")["groups"][0]["rules"]] == ["double", "Never"]
            with pytest.raises(AssertionError, match="parse error"):
                server.query("rate(")


def test_a_configuration_that_it_refuses_is_reported():
    with (
        pytest.raises(AssertionError, match=r"did not start[\s\S]*not_a_key"),
        prometheus({"scrape_configs": [{"job_name": "x", "not_a_key": 1}]}),
    ):
        pass
