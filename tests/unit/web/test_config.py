"""The cases of exporter-toolkit's tests and more: good files serve, bad ones are refused in one line."""

import os

import pytest

from exporter.errors import ExporterError
from exporter.web.config_reloader import WebFile
from exporter.web.tls import CIPHERS, CURVES, TLS13_CIPHERS
from tests.unit.serving import serving, web_yml
from tests.unit.web.web_yml import MUTUAL, PAIR, tls


def listed(names):
    return f"[{', '.join(names)}]"


def inline(path):
    return "|\n" + "".join(f"    {line}\n" for line in path.read_text().splitlines())


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


@pytest.mark.parametrize("name", ["cert_file", "key_file", "client_ca_file"])
def test_pipes_are_no_certificates(authority, name):
    pipe = authority.directory / "pipe"
    if not pipe.exists():
        os.mkfifo(pipe)
    names = {"cert_file": "server.pem", "key_file": "server.key", name: "pipe"}
    section = ", ".join(f"{key}: {value}" for key, value in names.items())
    mutual = ", client_auth_type: RequireAndVerifyClientCert" * (name == "client_ca_file")
    with pytest.raises(ExporterError, match=f"{name} {pipe} cannot be used: it is a pipe"):
        WebFile(web_yml(authority.directory, tls(section + mutual)))


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ExporterError, match="No such file"):
        WebFile(tmp_path / "web.yml")
