"""TLS contexts of `tls_server_config`, whose values are those of Go's crypto/tls."""

from __future__ import annotations

import contextlib
import errno
import os
import ssl
import stat
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from exporter.config.yaml_file import YAMLFileError
from exporter.web.config import TLSConfig, WebConfig

VERSIONS = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}
# Names of curves in OpenSSL.
CURVES = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}
# Names of cipher suites in OpenSSL. Those of TLS 1.3 cannot be chosen, neither here nor in Go: all three are enabled.
CIPHERS = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA": "AES128-SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA": "AES256-SHA",
    "TLS_RSA_WITH_AES_128_GCM_SHA256": "AES128-GCM-SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384": "AES256-GCM-SHA384",
}
TLS13_CIPHERS = frozenset({"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"})
HTTP2_CIPHERS = frozenset({"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"})
# RequestClientCert accepts clients with and without a certificate, like not requesting one.
NO_CLIENT_CERT = ("", "NoClientCert", "RequestClientCert")
REQUIRED = "RequireAndVerifyClientCert"
CLIENT_AUTH = {"VerifyClientCertIfGiven": ssl.CERT_OPTIONAL, REQUIRED: ssl.CERT_REQUIRED}
ANY = ("RequireAnyClientCert", "RequireClientCert")


def context(web: WebConfig) -> ssl.SSLContext | None:
    """Return the TLS context, None without TLS. Raise YAMLFileError."""
    config = web.tls
    if not config.enabled:
        return None
    if not (config.cert or config.cert_file):
        raise YAMLFileError("missing one of cert or cert_file")
    if not (config.key or config.key_file):
        raise YAMLFileError("missing one of key or key_file")
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    _set_versions(made, config)
    _set_ciphers(made, config, web.http2)
    _set_curve(made, config)
    _set_client_auth(made, config)
    _load_certificate(made, config)
    return made


def allowed(certificate: Mapping[str, Any] | None, names: tuple[str, ...]) -> bool:
    """Return True if a client certificate, from getpeercert(), has one of the alternative names."""
    return any(value in names for _, value in (certificate or {}).get("subjectAltName", ()))


def _set_versions(made: ssl.SSLContext, config: TLSConfig) -> None:
    for version in (config.min_version, config.max_version):
        if version not in VERSIONS:
            raise YAMLFileError(f"unknown TLS version {version}: give one of {', '.join(VERSIONS)}")
    lowest, highest = VERSIONS[config.min_version], VERSIONS[config.max_version]
    if lowest > highest:
        raise YAMLFileError(f"min_version {config.min_version} is above max_version {config.max_version}")
    with warnings.catch_warnings():  # old versions are deprecated, but were chosen
        warnings.simplefilter("ignore", DeprecationWarning)
        made.minimum_version, made.maximum_version = lowest, highest


def _set_ciphers(made: ssl.SSLContext, config: TLSConfig, http2: bool) -> None:
    for cipher in config.cipher_suites:
        if cipher not in CIPHERS and cipher not in TLS13_CIPHERS:
            raise YAMLFileError(f"unknown cipher {cipher}")
    if (
        config.cipher_suites
        and http2
        and config.min_version != "TLS13"
        and HTTP2_CIPHERS.isdisjoint(config.cipher_suites)
    ):
        # The rule of exporter-toolkit: this server speaks HTTP/1.1 only, but a file should work with every exporter.
        raise YAMLFileError(
            f"cipher_suites has no cipher that HTTP/2 requires: add one of {', '.join(sorted(HTTP2_CIPHERS))},"
            " or set http2: false in http_server_config"
        )
    chosen = [CIPHERS[cipher] for cipher in config.cipher_suites if cipher in CIPHERS]
    if chosen:
        made.set_ciphers(":".join(chosen))
    if not config.prefer_server_cipher_suites:
        made.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE


def _set_curve(made: ssl.SSLContext, config: TLSConfig) -> None:
    for curve in config.curve_preferences:
        if curve not in CURVES:
            raise YAMLFileError(f"unknown curve {curve}: give one of {', '.join(CURVES)}")
    if len(config.curve_preferences) == 1:
        made.set_ecdh_curve(CURVES[config.curve_preferences[0]])
    elif config.curve_preferences and set(config.curve_preferences) != set(CURVES):
        raise YAMLFileError("curve_preferences has several curves: give one, or all of them")


def _set_client_auth(made: ssl.SSLContext, config: TLSConfig) -> None:
    kind = config.client_auth_type
    if kind in ANY:
        raise YAMLFileError(
            f"client_auth_type {kind} is not supported: it accepts certificates that anyone can make;"
            f" give {REQUIRED} and client_ca_file"
        )
    if kind not in NO_CLIENT_CERT and kind not in CLIENT_AUTH:
        raise YAMLFileError(
            f"invalid client_auth_type {kind}: give one of {', '.join((*NO_CLIENT_CERT[1:], *CLIENT_AUTH))}"
        )
    authority = config.client_ca or config.client_ca_file
    if authority and kind in ("", "NoClientCert"):
        raise YAMLFileError("client CAs are configured without a client_auth_type")
    if config.client_allowed_sans and kind != REQUIRED:
        raise YAMLFileError(f"client_allowed_sans requires client_auth_type {REQUIRED}")
    if kind in CLIENT_AUTH:
        made.verify_mode = CLIENT_AUTH[kind]
        if not authority:  # Go uses the authorities of the system then
            made.load_default_certs(ssl.Purpose.CLIENT_AUTH)
    if authority:
        with _explained("client_ca_file", config.client_ca_file):
            if config.client_ca_file:
                _check_file(config.client_ca_file)
                made.load_verify_locations(cafile=config.client_ca_file)
            else:
                made.load_verify_locations(cadata=config.client_ca)


def _load_certificate(made: ssl.SSLContext, config: TLSConfig) -> None:
    with contextlib.ExitStack() as files:
        certificate = config.cert_file or files.enter_context(_in_memory(config.cert))
        key = config.key_file or files.enter_context(_in_memory(config.key))
        for name, path in (("cert_file", config.cert_file), ("key_file", config.key_file)):
            with _explained(name, path):
                if path:
                    _check_file(path)
        with _explained("the certificate and key", ""):
            # An empty password: encrypted keys are refused instead of prompting.
            made.load_cert_chain(certificate, key, password="")


def _check_file(path: str) -> None:
    """Raise OSError if a file cannot be opened, or is a pipe, on which OpenSSL would wait."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            raise OSError(errno.ESPIPE, "it is a pipe")
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _in_memory(text: str) -> Iterator[str]:
    """Yield the path of a file in memory: OpenSSL takes certificates and keys by path only."""
    descriptor = os.memfd_create("web.config")
    try:
        os.write(descriptor, text.encode())
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _explained(what: str, path: str) -> Iterator[None]:
    """Raise errors of files and of OpenSSL as YAMLFileError, naming the key of the configuration."""
    try:
        yield
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        reason = error.reason if isinstance(error, ssl.SSLError) else getattr(error, "strerror", None)
        raise YAMLFileError(f"{what}{f' {path}' if path else ''} cannot be used: {reason or error}") from error
