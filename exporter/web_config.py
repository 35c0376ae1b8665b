"""The file of --web.config.file: what the YAML of Prometheus' exporter-toolkit says, checked.

https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

BCRYPT = re.compile(r"\$2[abxy]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}", re.ASCII)
HEADERS: Mapping[str, tuple[str, ...]] = {
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
    "Content-Security-Policy": (),
}
NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)
DURATION_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
DURATION_PART = re.compile(r"([0-9]*\.?[0-9]+|[0-9]+\.)(ns|us|µs|ms|s|m|h)", re.ASCII)


class WebConfigError(ValueError):
    """What is wrong with the file, in words for its author."""


@dataclass(frozen=True)
class TLSConfig:
    """`tls_server_config`. Names are the file's; paths are absolute or relative to the file's directory."""

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
        """Whether the file asks for TLS at all."""
        return any((self.cert, self.key, self.client_ca, self.cert_file, self.key_file, self.client_ca_file)) or bool(
            self.client_auth_type
        )

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that it names."""
        return tuple(Path(name) for name in (self.cert_file, self.key_file, self.client_ca_file) if name)


@dataclass(frozen=True)
class WebConfig:
    """What the file says; the default is an empty file's. `rate_interval` is in seconds, 0 for no limit."""

    tls: TLSConfig = TLSConfig()
    http2: bool = True
    headers: Mapping[str, str] = field(default_factory=dict)
    users: Mapping[str, str] = field(default_factory=dict, repr=False)
    rate_burst: int = 0
    rate_interval: float = 0.0


def read(path: Path) -> WebConfig:
    """Reads and checks a file. Raises WebConfigError."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WebConfigError(getattr(error, "strerror", None) or "it is not UTF-8") from error
    return parse(text, path.parent)


def parse(text: str, directory: Path) -> WebConfig:
    """Checks the text of a file in `directory`. Raises WebConfigError."""
    try:
        document = yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    except RecursionError as error:
        raise WebConfigError("it is nested too deeply") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise WebConfigError(f"it is not YAML: {getattr(error, 'problem', None) or 'unreadable'}{where}") from error
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
        raise WebConfigError("rate_limit has an interval and a burst below 1: that would refuse every request")
    return config


class _Loader(yaml.SafeLoader):
    """Refuses keys that are given twice, where PyYAML takes the last, and leaves scalars as text.

    What is wanted tells their type: a user may be called 123 or yes, and a header be 1, as to Go.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"{key!r} is given twice", node.start_mark)
        return super().construct_mapping(node, deep)


def _text(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> str:
    return str(loader.construct_scalar(node))


for _tag in ("bool", "int", "float", "timestamp"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _text)


def _known(section: Any, where: str, **types: type) -> dict[str, Any]:
    """A mapping with these keys only, each of its type; keys without a value are left out."""
    if section is None:
        return {}
    if not isinstance(section, dict):
        raise WebConfigError(f"{where} is not a mapping")
    found = {}
    for name, value in section.items():
        if name not in types:
            raise WebConfigError(f"{where} has an unknown key {name!r}")
        if value is not None:
            found[name] = _typed(value, types[name], f"{name} in {where}")
    return found


def _typed(value: Any, wanted: type, where: str) -> Any:
    """A value as the type that is wanted."""
    if wanted is bool and isinstance(value, str) and value.lower() in yaml.SafeLoader.bool_values:
        return yaml.SafeLoader.bool_values[value.lower()]
    if wanted is int and isinstance(value, str) and NUMBER.fullmatch(value):
        return int(value)
    if not isinstance(value, wanted):
        raise WebConfigError(f"{where} has a value of the wrong type")
    return value


def _tls(section: Any, directory: Path) -> TLSConfig:
    fields = TLSConfig.__dataclass_fields__
    types = {name: type(one.default) if one.default != () else list for name, one in fields.items()}
    values = _known(section, "tls_server_config", **types)
    for name, value in values.items():
        if isinstance(value, list):
            if not all(isinstance(item, str) for item in value):
                raise WebConfigError(f"{name} in tls_server_config is not a list of names")
            values[name] = tuple(value)
        elif name.endswith("_file") and value:
            values[name] = str(directory / value)
    return TLSConfig(**values)


def _headers(headers: Mapping[Any, Any]) -> dict[str, str]:
    for name, value in headers.items():
        if name not in HEADERS:
            raise WebConfigError(f"HTTP header {name!r} cannot be configured: give one of {', '.join(HEADERS)}")
        if not isinstance(value, str) or not value.isprintable():
            raise WebConfigError(f"the value of HTTP header {name} is not a line of text")
        if HEADERS[name] and value not in HEADERS[name]:
            raise WebConfigError(f"invalid value for {name}: {value!r}, give {' or '.join(HEADERS[name])}")
    return dict(headers)


def _users(users: Mapping[Any, Any]) -> dict[str, str]:
    for name, password in users.items():
        if not isinstance(name, str) or not isinstance(password, str) or not BCRYPT.fullmatch(password):
            raise WebConfigError(f"the password of user {name} is not a bcrypt hash: make one with htpasswd -nBC 10 ''")
    return dict(users)


def _duration(value: str) -> float:
    """A duration as Go writes it, such as 1s, 1m30s or 500ms, in seconds; a number is nanoseconds, as to Go."""
    if NUMBER.fullmatch(value):
        return int(value) * 1e-9
    parts = DURATION_PART.findall(value)
    if not parts or "".join(map("".join, parts)) != value:
        raise WebConfigError(f"{value!r} is not a duration: give one such as 1s or 500ms")
    return sum(float(number) * DURATION_UNITS[unit] for number, unit in parts)
