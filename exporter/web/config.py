"""The format of --web.config.file, that of Prometheus' exporter-toolkit.

https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from exporter.config import duration, yaml_file
from exporter.config.yaml_file import YAMLFileError

BCRYPT = re.compile(r"\$2[abxy]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}", re.ASCII)
HEADERS: Mapping[str, tuple[str, ...]] = {
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
    "Content-Security-Policy": (),
}
BOOLEANS: Mapping[str, bool] = yaml.SafeLoader.bool_values
NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)


@dataclass(frozen=True)
class TLSConfig:
    """`tls_server_config`, with its names; relative paths are already joined to the directory of the file."""

    cert: str = field(default="", repr=False)
    key: str = field(default="", repr=False)
    client_ca: str = field(default="", repr=False)
    cert_file: str = ""
    key_file: str = ""
    client_ca_file: str = ""
    client_auth_type: str = ""
    client_allowed_sans: tuple[str, ...] = ()
    cipher_suites: tuple[str, ...] = ()
    curve_preferences: tuple[str, ...] = ()
    min_version: str = "TLS12"
    max_version: str = "TLS13"
    prefer_server_cipher_suites: bool = True

    @property
    def enabled(self) -> bool:
        """Return True if TLS is configured."""
        return any((self.cert, self.key, self.client_ca, self.cert_file, self.key_file, self.client_ca_file)) or bool(
            self.client_auth_type
        )

    @property
    def files(self) -> tuple[Path, ...]:
        """Return the files of certificates and keys."""
        return tuple(Path(name) for name in (self.cert_file, self.key_file, self.client_ca_file) if name)


@dataclass(frozen=True)
class WebConfig:
    """The configuration; the default is that of an empty file. `rate_interval` is in seconds, 0: no limit."""

    tls: TLSConfig = TLSConfig()
    http2: bool = True
    headers: Mapping[str, str] = field(default_factory=dict)
    users: Mapping[str, str] = field(default_factory=dict, repr=False)
    rate_burst: int = 0
    rate_interval: float = 0.0


def read(path: Path) -> WebConfig:
    """Read and check a file. Raise YAMLFileError."""
    document = yaml_file.construct(yaml_file.compose(yaml_file.read(path)), yaml_file.TextLoader)
    return _parse(document, path.parent)


def _parse(document: Any, directory: Path) -> WebConfig:
    sections = _known(
        document, "the file", tls_server_config=dict, http_server_config=dict, basic_auth_users=dict, rate_limit=dict
    )
    http = _known(sections.get("http_server_config"), "http_server_config", http2=bool, headers=dict)
    limit = _known(sections.get("rate_limit"), "rate_limit", burst=int, interval=str)
    config = WebConfig(
        tls=_tls(sections.get("tls_server_config"), directory),
        http2=http.get("http2", True),
        headers=_headers(http.get("headers", {})),
        users=_users(sections.get("basic_auth_users", {})),
        rate_burst=limit.get("burst", 0),
        rate_interval=_duration(limit.get("interval", "0")),
    )
    if config.rate_interval and config.rate_burst < 1:
        raise YAMLFileError("rate_limit has an interval but a burst below 1, which would refuse every request")
    return config


def _known(section: Any, where: str, **types: type) -> dict[str, Any]:
    """Return a mapping of known keys to values of their types, without empty ones. Raise YAMLFileError."""
    if section is None:
        return {}
    if not isinstance(section, dict):
        raise YAMLFileError(f"{where} is not a mapping")
    found = {}
    for name, value in section.items():
        if name not in types:
            raise YAMLFileError(f"{where} has an unknown key {name!r}")
        if value is not None:
            found[name] = _typed(value, types[name], f"{name} in {where}")
    return found


def _typed(value: Any, wanted: type, where: str) -> Any:
    """Return a value as `wanted`. Raise YAMLFileError."""
    if wanted is bool and isinstance(value, str) and value.lower() in BOOLEANS:
        return BOOLEANS[value.lower()]
    if wanted is int and isinstance(value, str) and NUMBER.fullmatch(value):
        return int(value)
    if not isinstance(value, wanted):
        raise YAMLFileError(f"{where} has a value of the wrong type")
    return value


def _tls(section: Any, directory: Path) -> TLSConfig:
    fields = TLSConfig.__dataclass_fields__
    types = {name: type(one.default) if one.default != () else list for name, one in fields.items()}
    values = _known(section, "tls_server_config", **types)
    for name, value in values.items():
        if isinstance(value, list):
            if not all(isinstance(item, str) for item in value):
                raise YAMLFileError(f"{name} in tls_server_config is not a list of names")
            values[name] = tuple(value)
        elif name.endswith("_file") and value:
            values[name] = str(directory / value)
    return TLSConfig(**values)


def _headers(headers: Mapping[Any, Any]) -> dict[str, str]:
    for name, value in headers.items():
        if name not in HEADERS:
            raise YAMLFileError(f"HTTP header {name!r} cannot be configured: give one of {', '.join(HEADERS)}")
        if not isinstance(value, str) or not value.isprintable():
            raise YAMLFileError(f"the value of HTTP header {name} is not one line of text")
        if HEADERS[name] and value not in HEADERS[name]:
            raise YAMLFileError(f"invalid value for {name}: {value!r}, give {' or '.join(HEADERS[name])}")
    return dict(headers)


def _users(users: Mapping[Any, Any]) -> dict[str, str]:
    for name, password in users.items():
        if not isinstance(name, str) or not isinstance(password, str) or not BCRYPT.fullmatch(password):
            raise YAMLFileError(f"the password of user {name} is not a bcrypt hash: make one with htpasswd -nBC 10 ''")
    return dict(users)


def _duration(value: str) -> float:
    """Parse a duration of Go, such as 1m30s, 500ms, or a number of nanoseconds; return seconds."""
    if NUMBER.fullmatch(value):
        return int(value) * 1e-9
    try:
        return duration.seconds(value, duration.GO)
    except ValueError as error:
        raise YAMLFileError(f"{error}: give one such as 1s or 500ms") from error
