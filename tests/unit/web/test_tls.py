import ssl

import pytest

from tests.unit.serving import serving, web_yml
from tests.unit.web.web_yml import MUTUAL, PAIR, refused, tls


def test_required_certificates_without_a_ca_are_those_of_the_system(authority):
    """Like exporter-toolkit: only clients signed by a public authority are accepted."""
    good = authority.directory / "client.pem", authority.directory / "client.key"
    with serving(web_yml(authority.directory, tls(f"{PAIR}, client_auth_type: RequireAndVerifyClientCert"))) as served:
        assert refused(served, authority.client())
        assert refused(served, authority.client(good))
    with serving(web_yml(authority.directory, tls(f"{PAIR}, client_auth_type: VerifyClientCertIfGiven"))) as served:
        assert served.ask(tls=authority.client())[0] == 200
        assert refused(served, authority.client(good))


def test_client_certificates(authority, stranger):
    good = authority.directory / "client.pem", authority.directory / "client.key"
    with serving(web_yml(authority.directory, tls(MUTUAL))) as served:
        assert served.ask(tls=authority.client(good))[0] == 200
        assert refused(served, authority.client())
        assert refused(served, authority.client(stranger))
    with serving(
        web_yml(authority.directory, tls(f"{MUTUAL}, client_allowed_sans: [test1, 'spiffe://scraper']"))
    ) as served:
        assert served.ask(tls=authority.client(good))[0] == 200
    with serving(web_yml(authority.directory, tls(f"{MUTUAL}, client_allowed_sans: [scraper, client]"))) as served:
        assert refused(served, authority.client(good))


@pytest.mark.parametrize(
    ("server", "change"),
    [
        (PAIR, {"maximum_version": ssl.TLSVersion.TLSv1_1, "minimum_version": ssl.TLSVersion.TLSv1}),
        (f"{PAIR}, min_version: TLS13", {"maximum_version": ssl.TLSVersion.TLSv1_2}),
        (f"{PAIR}, max_version: TLS12", {"minimum_version": ssl.TLSVersion.TLSv1_3}),
    ],
)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_clients_of_other_versions_are_refused(authority, server, change):
    client = authority.client()
    for name, value in change.items():
        setattr(client, name, value)
    with serving(web_yml(authority.directory, tls(server))) as served:
        assert refused(served, client)


def test_ciphers_and_curves_are_those_that_are_configured(authority):
    chosen = (
        "max_version: TLS12, cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256], curve_preferences: [CurveP521]"
    )
    with serving(web_yml(authority.directory, tls(f"{PAIR}, {chosen}"))) as served:
        client = authority.client()
        assert served.ask(tls=client)[0] == 200
        client.set_ciphers("ECDHE-ECDSA-AES256-SHA")
        assert refused(served, client)
        client = authority.client()
        client.set_ecdh_curve("secp384r1")
        assert refused(served, client)


def test_plain_http_is_not_served_beside_tls(authority):
    with serving(web_yml(authority.directory, tls(PAIR))) as served, pytest.raises(OSError, match=r"reset|closed"):
        served.ask()
