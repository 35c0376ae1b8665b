from exporter.web.rate_limit import RateLimit
from tests.unit.serving import serving, web_yml


def test_more_than_the_rate_limit_is_refused(authority):
    with serving(web_yml(authority.directory, "rate_limit: {burst: 3, interval: 1m0.5s}")) as served:
        answers = [served.ask() for _ in range(5)]
    assert [status for status, _, _ in answers] == [200, 200, 200, 429, 429]
    assert 1 <= int(answers[-1][1]["Retry-After"]) <= 61


def test_the_rate_limit_refills_with_time():
    now = [0.0]
    limit = RateLimit(2, 10.0, lambda: now[0])
    assert [limit.allow() for _ in range(3)] == [True, True, False]
    assert limit.seconds_to_wait() == 10
    now[0] = 9.0
    assert not limit.allow()
    now[0] = 10.0
    assert [limit.allow(), limit.allow()] == [True, False]
    now[0] = 1000.0
    assert [limit.allow() for _ in range(3)] == [True, True, False]
