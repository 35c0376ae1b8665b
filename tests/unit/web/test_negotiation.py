import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics.render import OPENMETRICS, TEXT
from exporter.web.negotiation import media_type, prefers_gzip

OLD, NEW = "text/plain; version=0.0.4; charset=utf-8", "text/plain; version=1.0.0; charset=utf-8"
OPEN, OPEN_OLD = (f"application/openmetrics-text; version={version}; charset=utf-8" for version in ("1.0.0", "0.0.1"))
PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_3_TEXT_FIRST = (
    "text/plain;version=0.0.4;q=0.6,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,*/*;q=0.4"
)
WITH_PROTOBUF = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,"
    f"{PROMETHEUS_2.replace(';version=1.0.0', ';version=1.0.0;q=0.5').replace('0.75', '0.4').replace('0.5,*', '0.3,*')}"
)

MALFORMED, WELL_FORMED = ("x", "", ".", "2", "-1", "nan", "1e0", "1.1", "0..1"), ("1", "1.", "1.000", ".5", "0.1234")


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", OLD),
        ("*/*", OLD),
        ("text/*", OLD),
        ("text/plain", OLD),
        ("TEXT/Plain; Version=0.0.4", OLD),
        ('text/plain; version="1.0.0"', NEW),
        ("text/plain; version=9.9", OLD),
        ("application/*", OPEN),
        ("application/openmetrics-text", OPEN),
        ("application/openmetrics-text; version=", OPEN),
        ("application/openmetrics-text; version=x.y", OLD),
        ("application/openmetrics-text; version=2.0.0, application/openmetrics-text; version=0.0.1; q=0.5", OPEN_OLD),
        ("application/openmetrics-text; charset=utf-8; foo=bar", OPEN),
        (PROMETHEUS_2, OPEN),
        (PROMETHEUS_3, f"{OPEN}; escaping=allow-utf-8"),
        (PROMETHEUS_3_TEXT_FIRST, OLD),
        (WITH_PROTOBUF, OPEN),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", OLD),  # a browser
        # Weights
        ("text/plain;q=0.9, application/openmetrics-text;q=0.1", OLD),
        ("text/plain;q=0.1, application/openmetrics-text;q=0.9", OPEN),
        ("application/openmetrics-text;q=0, text/plain", OLD),
        ("application/openmetrics-text;q=0.000, */*", OLD),
        ("text/plain;q=0, */*;q=0.1", OPEN),
        ("text/*;q=0, */*", OPEN),
        ("text/plain;version=0.0.4;q=0, text/plain", NEW),
        ("*/*;q=0", OLD),
        ("application/openmetrics-text; Q=0.2 , text/plain ; q=0.3", OLD),
        # The most specific range counts for each format, whatever its weight
        ("application/openmetrics-text;q=0.2, application/*;q=0.9, text/plain;q=0.5", OLD),
        ("*/*;q=1, application/openmetrics-text;version=1.0.0;q=0.3, text/plain;q=0.2, text/*;q=0.1", OPEN_OLD),
        # Equal weights: the more specific range, then the first
        ("text/plain, application/openmetrics-text", OLD),
        ("application/openmetrics-text, text/plain", OPEN),
        ("*/*, application/openmetrics-text", OPEN),
        # Malformed elements are ignored
        (";;;,,q=", OLD),
        (";;;===,,", OLD),
        *((f"application/openmetrics-text;q={weight}, text/plain;q=0.1", OLD) for weight in MALFORMED),
        *((f"application/openmetrics-text;q={weight}, text/plain;q=0.1", OPEN) for weight in WELL_FORMED),
        ('application/openmetrics-text;foo="a,b";q=0.1, text/plain', OLD),
        # Escaping
        ("text/plain;version=1.0.0;escaping=underscores", f"{NEW}; escaping=underscores"),
        ("text/plain;version=1.0.0;escaping=values", f"{NEW}; escaping=values"),
        ("text/plain;version=1.0.0;escaping=dots", f"{NEW}; escaping=underscores"),
        ("text/plain;version=1.0.0;escaping=\xff", f"{NEW}; escaping=underscores"),
        ("text/plain;escaping=allow-utf-8", OLD),
        ("application/openmetrics-text;version=0.0.1;escaping=allow-utf-8", OPEN_OLD),
    ],
)  # fmt: skip
def test_the_format_is_the_one_with_the_greatest_weight(accept, content_type):
    assert media_type(accept) == (TEXT if content_type.startswith("text/") else OPENMETRICS, content_type)


@pytest.mark.parametrize(
    ("accept_encoding", "gzip"),
    [
        ("", False),
        ("gzip", True),
        ("GZip", True),
        ("x-gzip", True),
        ("deflate, gzip, br, zstd", True),
        ("zstd, gzip;q=0.5", True),
        ("gzip;q=0.001", True),
        ("gzip;q=0", False),
        ("gzip;q=0.0, identity", False),
        ("gzip;q=0, *", False),
        ("br, zstd, deflate", False),
        ("*", True),
        ("*;q=0", False),
        ("*;q=0, gzip", True),
        ("identity", False),
        ("identity, gzip", True),
        ("identity;q=1, gzip;q=0.5", False),
        ("identity;q=0.5, *;q=0.2", False),
        ("identity;q=0", True),
        ("identity;q=0, *;q=0.1", True),
        ("identity;q=0, gzip;q=0", False),
        ("identity;q=0, *;q=0", False),
        ("gzip;q=x", False),
        ("gzip;q=2", False),
        (";;;,,q=", False),
    ],
)
def test_gzip_is_used_where_it_is_preferred(accept_encoding, gzip):
    assert prefers_gzip(accept_encoding) is gzip


@given(st.text('ab*/;,=q0.1" gzip\\\xff', max_size=40))
def test_no_header_is_an_error(header):
    assert media_type(f"text/plain;version=0.0.4,{header},text/plain") or True
    prefers_gzip(header)
