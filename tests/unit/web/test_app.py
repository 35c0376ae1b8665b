import base64
import gzip
import re
import threading
from collections import deque
from html.parser import HTMLParser
from urllib.parse import urljoin

import bcrypt
import pytest

from tests.unit.serving import rows, serving, web_yml


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
    for words in (b"exec_exporter", b"Version 0.", b"attached"):
        assert words in body


class Links(HTMLParser):
    """Resolve the links of a page as a browser does, from the address at which a proxy serves it."""

    def __init__(self, address, page):
        super().__init__()
        self.address, self.found = address, []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.found += [urljoin(self.address, link) for name, link in attributes if name in ("href", "src", "action")]


@pytest.mark.parametrize("path", ["/metrics", "/a/b c", "/a:b", '/"><b>', "/é"])
def test_links_stay_below_the_prefix_of_a_reverse_proxy(path):
    proxy = "http://proxy.example/exporters/exec"
    with serving(telemetry_path=path) as served:
        links = Links(f"{proxy}/", served.ask("/")[2].decode()).found
        assert len(links) == 3
        for link in links:
            assert link.startswith(f"{proxy}/")
            assert served.ask(link.removeprefix(proxy))[0] == 200
        for missing in ("/nothing", "/metrics/x/y"):
            status, headers, body = served.ask(missing)
            assert (status, body, headers["Location"]) == (404, b"Not found.\n", None)


@pytest.mark.parametrize(
    "path", ["//metrics", "///metrics", "//-//healthy", "/-//ready", "//metrics?collect[]=forks&a=%20"]
)
def test_repeated_slashes_are_redirected_below_the_prefix_of_a_reverse_proxy(served, path):
    prefix = "http://proxy.example/exporters/exec"
    status, headers, _ = served.ask(path)
    assert status == 301
    # urljoin merges repeated slashes; a browser does not
    location = urljoin(prefix + re.sub("/(?=/)", "/empty", path), headers["Location"])
    assert location == prefix + re.sub("/{2,}", "/", path)


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "http://127.0.0.1:10042/metrics", 200),
        ("HEAD", "HTTPS://user@another.example/metrics?x=y", 200),
        ("GET", "http://127.0.0.1:10042", 200),
        ("GET", "http://127.0.0.1:10042?x=y", 200),
        ("GET", "http://127.0.0.1:10042/nothing", 404),
        ("GET", "/%6Detrics", 200),
        ("GET", "/metrics?", 200),
        ("GET", "/metrics/", 404),
        ("GET", "/metrics%zz", 400),
        ("GET", "/m%C3%A9trics", 404),
        ("GET", "/m\xc3\xa9trics", 404),
        ("GET", "/metrics#x", 404),
        ("GET", "metrics", 400),
        ("GET", "*", 400),
        ("OPTIONS", "*", 200),
        ("OPTIONS", "/metrics", 405),
        ("POST", "/metrics", 405),
        ("get", "/metrics", 405),
        ("CONNECT", "127.0.0.1:10042", 400),
    ],
)
@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
def test_request_targets_of_every_form_are_answered(served, method, target, status, version):
    with served.connect() as client:
        client.sendall(f"{method} {target} {version}\r\nHost: x\r\nConnection: close\r\n\r\n".encode("latin-1"))
        answer = client.makefile("rb").read()
    assert int(answer.split()[1]) == status
    assert (b"\r\nAllow: GET, HEAD\r\n" in answer) == (method == "OPTIONS" or status == 405)


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


def test_posting_reloads_if_it_is_enabled():
    answers = deque(["", "config.yml:3: wrong: correct it"])
    with serving(reload=answers.popleft) as served:
        assert served.ask("/-/reload")[0] == 405
        assert served.ask("/-/reload", "DELETE")[1]["Allow"] == "POST, PUT"
        assert served.ask("/-/reload", "POST")[::2] == (200, b"OK\n")
        failed = b"failed to reload config: config.yml:3: wrong: correct it\n"
        assert served.ask("/-/reload", "PUT")[::2] == (500, failed)
    with serving() as served:
        assert served.ask("/-/reload", "POST")[0] == 403


def test_a_post_is_redirected_from_repeated_slashes_as_a_post():
    with serving(reload=lambda: "") as served:
        status, headers, _ = served.ask("//-//reload", "POST")
        assert (status, headers["Location"]) == (308, "../../../-/reload")
        assert served.ask("/-/reload", "OPTIONS")[1]["Allow"] == "POST, PUT"


def test_reloading_takes_a_password_where_reading_does(tmp_path):
    hashed = bcrypt.hashpw(b"correct horse", bcrypt.gensalt(4)).decode()
    reloads = []
    with serving(
        web_yml(tmp_path, f"basic_auth_users: {{prometheus: '{hashed}'}}"), reload=lambda: reloads.append(1)
    ) as served:
        assert served.ask("/-/reload", "POST")[0] == 401
        assert reloads == []
        known = {"Authorization": "Basic " + base64.b64encode(b"prometheus:correct horse").decode()}
        assert served.ask("/-/reload", "POST", known)[0] == 200
    assert reloads == [1]


def test_a_scrape_can_ask_for_collectors_and_names():
    asked = []
    with serving(families=lambda wanted: asked.append(wanted) or rows(3), enabled=("executions", "probe")) as served:
        for query in ("collect[]=probe", "exclude%5B%5D=probe&x=y", "name[]=exec_executions_total"):
            assert served.ask(f"/metrics?{query}")[0] == 200
        assert asked == [{"probe"}, {"executions"}, None]
        assert b"# TYPE" not in served.ask("/metrics?name[]=nothing")[2]
        asked.clear()
        for query, error in (
            ("collect[]=forks", b"the collector forks is disabled\n"),
            ("collect[]=probe&exclude[]=probe", b"collect[] and exclude[] cannot be combined\n"),
        ):
            status, headers, body = served.ask(f"/metrics?{query}")
            assert (status, headers["Content-Type"], body) == (400, "text/plain; charset=utf-8", error)
        assert asked == []


def test_a_failing_scrape_is_a_500_and_is_logged_once(caplog):
    def fail(_):
        raise OSError(5, "the map is gone")

    with serving(families=fail) as served:
        for _ in range(3):
            assert served.ask()[0] == 500
            assert served.ask("/-/healthy")[0] == 200
    assert len([record for record in caplog.records if "the map is gone" in record.message]) == 1


def test_more_scrapes_than_allowed_are_refused():
    go_on, asked = threading.Event(), threading.Event()

    def held(_):
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
