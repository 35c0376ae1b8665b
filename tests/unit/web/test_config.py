"""The cases of exporter-toolkit's own tests, and more: each good file serves, each bad one is refused in one line."""

import base64
import shutil
import ssl
import time

import bcrypt
import pytest

from exporter.errors import ExporterError
from exporter.web.config_reloader import WebFile
from exporter.web.rate_limit import RateLimit
from exporter.web.tls import CIPHERS, CURVES, TLS13_CIPHERS
from tests.unit.serving import Authority, serving, web_yml

PASSWORD, HASH = "correct horse", bcrypt.hashpw(b"correct horse", bcrypt.gensalt(4)).decode()
PAIR = "cert_file: server.pem, key_file: server.key"
MUTUAL = f"{PAIR}, client_auth_type: RequireAndVerifyClientCert, client_ca_file: authority.pem"


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


def tls(text):
    return f"tls_server_config: {{{text}}}\n"


def listed(names):
    return f"[{', '.join(names)}]"


def inline(path):
    return "|\n" + "".join(f"    {line}\n" for line in path.read_text().splitlines())


def basic(user, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


GOOD = {
    "no TLS, empty": "",
    "headers": "http_server_config: {headers: {Strict-Transport-Security: max-age=1; includeSubDomains,"
    " X-XSS-Protection: 1, X-Frame-Options: deny, X-Content-Type-Options: nosniff,"
    " Content-Security-Policy: 'default-src *.example.net'}}",
    "no rate limit": "rate_limit: {burst: 0, interval: 0}",
    "rate limit not reached": "rate_limit: {burst: 20, interval: 1s}",
    "sections without a value": "tls_server_config: ~\n"
    "http_server_config: {headers: ~}\nbasic_auth_users:\nrate_limit: ~",
    "TLS": tls(PAIR),
    "all ciphers": tls(f"{PAIR}, cipher_suites: {listed([*CIPHERS, *TLS13_CIPHERS])}"),
    "some ciphers": tls(f"{PAIR}, max_version: TLS12, cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]"),
    "some ciphers, the client's order": tls(
        f"{PAIR}, prefer_server_cipher_suites: false, cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]"
    ),
    "no cipher of HTTP/2, no HTTP/2": tls(f"{PAIR}, cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA]")
    + "http_server_config: {http2: false}",
    "all curves": tls(f"{PAIR}, curve_preferences: {listed(CURVES)}"),
    "one curve": tls(f"{PAIR}, min_version: TLS13, curve_preferences: [CurveP521]"),
    "TLS 1.3 only": tls(f"{PAIR}, min_version: TLS13"),
    "certificate if given": tls(f"{PAIR}, client_auth_type: VerifyClientCertIfGiven, client_ca_file: authority.pem"),
    "certificate asked for": tls(f"{PAIR}, client_auth_type: RequestClientCert"),
    "certificate required": tls(MUTUAL),
    "certificate with a name": tls(f"{MUTUAL}, client_allowed_sans: [bad, scraper.example]"),
}


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD)
def test_good_files_serve(authority, text):
    client = authority.client((authority.directory / "client.pem", authority.directory / "client.key"))
    with serving(web_yml(authority.directory, text)) as served:
        status, headers, _ = served.ask(tls=client if "cert_file" in text else None)
    assert status == 200
    assert headers["X-Frame-Options"] == ("deny" if "X-Frame" in text else None)


def test_certificates_can_be_in_the_file_itself(authority):
    text = "tls_server_config:\n  cert: " + inline(authority.directory / "server.pem")
    text += "  key: " + inline(authority.directory / "server.key")
    with serving(web_yml(authority.directory, text)) as served:
        assert served.ask(tls=authority.client())[0] == 200


BAD = {
    "junk": ("foo bar baz", "not a mapping"),
    "not YAML": ("a: [", "not YAML"),
    "not YAML, a tab": ("tls_server_config:\n\tcert_file: x", "web.yml:2: it is not YAML"),
    "unknown key": ("tls_config: {}", "unknown key 'tls_config'"),
    "unknown key of a section": (tls(f"{PAIR}, certfile: x"), "unknown key 'certfile'"),
    "a key twice": (tls(PAIR) + tls(PAIR), "web.yml:2: 'tls_server_config' is given twice, first in line 1"),
    "merges without end": (
        "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [{f'*a{n - 1}, ' * 9}]}}\n" for n in range(1, 10)),
        "web.yml:6: it expands to more than",
    ),
    "wrong type": (tls("cert_file: [a], key_file: b"), "wrong type"),
    "no certificate": (tls("key_file: server.key"), "missing one of cert or cert_file"),
    "empty certificate": (tls("cert: '', key_file: server.key"), "missing one of cert or cert_file"),
    "no key": (tls("cert_file: server.pem"), "missing one of key or key_file"),
    "neither": (tls("client_auth_type: NoClientCert"), "missing one of cert or cert_file"),
    "certificate not there": (tls("cert_file: none.pem, key_file: server.key"), "No such file"),
    "key not there": (tls("cert_file: server.pem, key_file: none.key"), "No such file"),
    "another's key": (tls("cert_file: server.pem, key_file: other.key"), "KEY_VALUES_MISMATCH"),
    "not a certificate": (tls("cert_file: web.yml, key_file: server.key"), "cannot be used"),
    "CA without policy": (tls(f"{PAIR}, client_ca_file: authority.pem"), "without a client_auth_type"),
    "invalid policy": (tls(f"{PAIR}, client_auth_type: Maybe"), "invalid client_auth_type Maybe"),
    "any certificate": (tls(f"{PAIR}, client_auth_type: RequireAnyClientCert"), "RequireAndVerifyClientCert"),
    "CA not there": (
        tls(f"{PAIR}, client_auth_type: RequireAndVerifyClientCert, client_ca_file: none.pem"),
        "No such file",
    ),
    "CA without certificates": (
        tls(f"{PAIR}, client_auth_type: RequireAndVerifyClientCert, client_ca_file: web.yml"),
        "client_ca_file",
    ),
    "CA in the file without certificates": (
        tls(f"{PAIR}, client_auth_type: RequireAndVerifyClientCert, client_ca: nothing"),
        "client_ca",
    ),
    "not UTF-8": ("\udcff", "not UTF-8"),
    "nested deeply": ("[" * 100_000, "nested too deeply"),
    "no boolean": ("http_server_config: {http2: maybe}", "http2 in http_server_config has a value of the wrong type"),
    "no number": ("rate_limit: {burst: many}", "burst in rate_limit has a value of the wrong type"),
    "negative": ("rate_limit: {burst: -1, interval: 1s}", "wrong type"),
    "names without policy": (tls(f"{PAIR}, client_allowed_sans: [a]"), "client_allowed_sans requires"),
    "password in the clear": ("basic_auth_users: {john: doe}", "password of user john is not a bcrypt hash"),
    "invented cipher": (tls(f"{PAIR}, cipher_suites: [TLS_NICE]"), "unknown cipher TLS_NICE"),
    "no cipher of HTTP/2": (tls(f"{PAIR}, cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA]"), "HTTP/2 requires"),
    "invented curve": (tls(f"{PAIR}, curve_preferences: [CurveP999]"), "unknown curve CurveP999"),
    "two curves": (tls(f"{PAIR}, curve_preferences: [CurveP256, X25519]"), "give one, or all"),
    "wrong TLS version": (tls(f"{PAIR}, min_version: TLS111"), "unknown TLS version TLS111"),
    "crossed TLS versions": (tls(f"{PAIR}, min_version: TLS13, max_version: TLS12"), "is above max_version"),
    "content type options": ("http_server_config: {headers: {X-Content-Type-Options: x}}", "invalid value for"),
    "frame options": ("http_server_config: {headers: {X-Frame-Options: x}}", "invalid value for X-Frame-Options"),
    "another header": ("http_server_config: {headers: {Server: x}}", "'Server' cannot be configured"),
    "two lines of header": ('http_server_config: {headers: {X-XSS-Protection: "1\\r\\nX: y"}}', "not one line of text"),
    "no duration": ("rate_limit: {burst: 1, interval: soon}", "not a duration"),
    "nothing let through": ("rate_limit: {burst: 0, interval: 1s}", "refuse every request"),
}


@pytest.mark.parametrize(("text", "words"), BAD.values(), ids=BAD)
def test_bad_files_are_refused_in_one_line(authority, text, words):
    with pytest.raises(ExporterError) as refused:
        WebFile(web_yml(authority.directory, text))
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
    assert refused.value.status == 2
    assert "PRIVATE" not in str(refused.value)


def test_required_certificates_without_a_ca_are_those_of_the_system(authority):
    """As exporter-toolkit has it: nobody who is not signed by a public authority comes in."""
    good = authority.directory / "client.pem", authority.directory / "client.key"
    with serving(web_yml(authority.directory, tls(f"{PAIR}, client_auth_type: RequireAndVerifyClientCert"))) as served:
        assert refused(served, authority.client())
        assert refused(served, authority.client(good))
    with serving(web_yml(authority.directory, tls(f"{PAIR}, client_auth_type: VerifyClientCertIfGiven"))) as served:
        assert served.ask(tls=authority.client())[0] == 200
        assert refused(served, authority.client(good))


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ExporterError, match="No such file"):
        WebFile(tmp_path / "web.yml")


def refused(served, client):
    try:
        return served.ask(tls=client)[0] == 403
    except (ssl.SSLError, ConnectionError):
        return True


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


def test_users_and_passwords(authority):
    with serving(web_yml(authority.directory, f'basic_auth_users: {{prometheus: "{HASH}"}}')) as served:
        assert served.ask(headers=basic("prometheus", PASSWORD))[0] == 200
        status, headers, body = served.ask(headers=basic("prometheus", "wrong"))
        assert (status, headers["WWW-Authenticate"]) == (401, "Basic")
        assert b"exec_" not in body
        for wrong in (
            {},
            basic("other", PASSWORD),
            basic("prometheus", ""),
            basic("prometheus", PASSWORD + "\0"),
            {"Authorization": "Basic !!!"},
            {"Authorization": "Bearer abc"},
            {"Authorization": "Basic " + base64.b64encode(b"prometheus").decode()},
        ):
            for path in ("/metrics", "/", "/-/healthy", "/nothing"):
                assert served.ask(path, headers=wrong)[0] == 401, (wrong, path)


def test_users_may_have_names_that_yaml_takes_for_something_else(authority):
    users = f'basic_auth_users: {{123: "{HASH}", yes: "{HASH}", 1.50: "{HASH}", 2026-01-01: "{HASH}"}}'
    with serving(web_yml(authority.directory, users)) as served:
        for name in ("123", "yes", "1.50", "2026-01-01"):
            assert served.ask(headers=basic(name, PASSWORD))[0] == 200
        assert served.ask(headers=basic("1.5", PASSWORD))[0] == 401


def test_an_unknown_user_costs_what_a_known_one_does_and_a_right_password_is_remembered(authority):
    costly = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(9)).decode()

    def seconds(user, password):
        started = time.perf_counter()
        served.ask(headers=basic(user, password))
        return time.perf_counter() - started

    with serving(web_yml(authority.directory, f'basic_auth_users: {{prometheus: "{costly}"}}')) as served:
        seconds("prometheus", PASSWORD)
        known, unknown, remembered = (
            min(seconds(user, password) for _ in range(5))
            for user, password in (("prometheus", "wrong"), ("other", "wrong"), ("prometheus", PASSWORD))
        )
    assert 0.5 < unknown / known < 2
    assert remembered < known / 2


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


def test_a_changed_file_and_certificate_are_in_force_at_once(authority, tmp_path):
    for name in ("server.pem", "server.key", "other.pem", "other.key", "authority.pem"):
        shutil.copy(authority.directory / name, tmp_path)
    client = authority.client()
    path = web_yml(tmp_path, tls(PAIR))
    with serving(path) as served:
        assert served.ask(tls=client)[0] == 200
        web_yml(tmp_path, tls(MUTUAL))
        assert refused(served, client)
        web_yml(tmp_path, tls(PAIR) + f'basic_auth_users: {{a: "{HASH}"}}')
        assert served.ask(tls=client)[0] == 401
        web_yml(tmp_path, tls(PAIR))
        before = certificate(served, client)
        (tmp_path / "other.pem").replace(tmp_path / "server.pem")
        assert certificate(served, client) == before, "a certificate without its key is in force"
        (tmp_path / "other.key").replace(tmp_path / "server.key")
        assert certificate(served, client) != before


def certificate(served, client):
    with served.connect() as plain, client.wrap_socket(plain, server_hostname="localhost") as connection:
        return connection.getpeercert(binary_form=True)


def test_a_change_for_the_worse_changes_nothing_and_is_logged_once(authority, tmp_path, caplog):
    for name in ("server.pem", "server.key"):
        shutil.copy(authority.directory / name, tmp_path)
    with serving(web_yml(tmp_path, tls(PAIR))) as served:
        for text, words in (("tls_server_config: [", "not YAML"), ("", "TLS can be turned on or off by a restart")):
            web_yml(tmp_path, text)
            for _ in range(3):
                assert served.ask(tls=authority.client())[0] == 200
            assert len([record for record in caplog.records if words in record.message]) == 1
