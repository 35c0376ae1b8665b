"""Content negotiation of RFC 9110, section 12: which format and which coding a client prefers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.request import parse_http_list

from exporter.metrics.render import OPENMETRICS, TEXT, Format

# Schemes of escaping that leave our names as they are; of the others, `dots` would double each underscore.
ESCAPING = ("allow-utf-8", "underscores", "values")
DEFAULT_ESCAPING = "underscores"
ESCAPING_SINCE = "1.0.0"  # version of both formats
UNLISTED = 0.0005  # weight of a coding that is only implied: below every weight that can be written


@dataclass(frozen=True)
class _Offer:
    kind: str
    version: str
    text_format: Format


OFFERS = (
    _Offer("text/plain", "0.0.4", TEXT),
    _Offer("text/plain", "1.0.0", TEXT),
    _Offer("application/openmetrics-text", "1.0.0", OPENMETRICS),
    _Offer("application/openmetrics-text", "0.0.1", OPENMETRICS),
)


def media_type(accept: str) -> tuple[Format, str]:
    """Return the preferred format and its content type for an Accept header; the first offer if none is accepted.

    Of equal weights the more specific range wins, then the one listed first.
    """
    ranges = [*_weighted(accept)]
    best, chosen, parameters = (0.0, 0, 0), OFFERS[0], dict[str, str]()
    for offer in OFFERS:
        matching = [
            (specificity, -number, weight, given)
            for number, (name, weight, given) in enumerate(ranges)
            if (specificity := _specificity(offer, name, given))
        ]
        if matching:
            specificity, place, weight, given = max(matching, key=lambda one: one[:2])
            if weight and (weight, specificity, place) > best:
                best, chosen, parameters = (weight, specificity, place), offer, dict(given)
    content_type = f"{chosen.kind}; version={chosen.version}; charset=utf-8"
    if chosen.version == ESCAPING_SINCE and "escaping" in parameters:
        asked = parameters["escaping"]
        content_type += f"; escaping={asked if asked in ESCAPING else DEFAULT_ESCAPING}"
    return chosen.text_format, content_type


def prefers_gzip(accept_encoding: str) -> bool:
    """Return True if a client with this Accept-Encoding header accepts gzip, and no less than no coding at all."""
    weights = {name: weight for name, weight, _ in _weighted(accept_encoding)}
    any_other = weights.get("*", 0.0)
    identity = weights.get("identity", any_other)
    implied = UNLISTED if weights.get("identity") == 0 and "*" not in weights else any_other
    gzip = weights.get("gzip", weights.get("x-gzip", implied))
    return gzip > 0 and gzip >= identity


def _specificity(offer: _Offer, name: str, parameters: Mapping[str, str]) -> int:
    """Return how specifically a media range matches an offer; 0 if it does not."""
    if name == offer.kind:
        return 4 if parameters.get("version") == offer.version else 0 if parameters.get("version") else 3
    return {f"{offer.kind.partition('/')[0]}/*": 2, "*/*": 1}.get(name, 0)


def _weighted(header: str) -> Iterator[tuple[str, float, Mapping[str, str]]]:
    """Yield the elements of a header with their weights and parameters. Those with a malformed weight are ignored."""
    for element in parse_http_list(header):
        name, *fields = (field.strip() for field in element.split(";"))
        pairs = (field.partition("=") for field in fields)
        parameters = {key.strip().lower(): value.strip().strip('"') for key, _, value in pairs}
        weight = parameters.pop("q", "1")
        try:
            number = float(weight) if weight.isascii() and weight.replace(".", "", 1).isdigit() else -1.0
        except ValueError:
            continue
        if name and 0 <= number <= 1:
            yield name.lower(), number, parameters
