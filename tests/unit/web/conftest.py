import pytest

from tests.unit.serving import Authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    authority = Authority(tmp_path_factory.mktemp("authority"))
    authority.sign("server")
    authority.sign("other")
    authority.sign("client", "DNS:scraper.example,URI:spiffe://scraper")
    return authority


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    stranger = Authority(tmp_path_factory.mktemp("stranger"))
    return stranger.sign("client", "DNS:scraper.example")
