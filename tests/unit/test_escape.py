import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from exporter.escape import escape, unescape

names = st.binary(max_size=300) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass"))


@given(names)
@example(b"\\x41")
@example(b"\xff\\xff")
@example("‮gpj.exe".encode())
@example("\ud800".encode("utf-8", "surrogatepass"))
def test_the_escape_can_be_undone(name):
    assert unescape(escape(name)) == name


@given(names)
def test_a_label_prints_on_one_line(name):
    assert escape(name).isprintable()


@given(names)
def test_a_label_survives_the_exposition(name):
    registry = CollectorRegistry()
    Counter("c", "", ["path"], registry=registry).labels(escape(name)).inc(7)
    text = generate_latest(registry).decode("utf-8")
    samples = [s for family in text_string_to_metric_families(text) for s in family.samples if s.name == "c_total"]
    assert [(unescape(sample.labels["path"]), sample.value) for sample in samples] == [(name, 7)]


@pytest.mark.parametrize(
    ("name", "label"),
    [
        (b"/usr/bin/true", "/usr/bin/true"),
        ("/opt/Größe/コマンド".encode(), "/opt/Größe/コマンド"),
        (b"/tmp/a\nb", r"/tmp/a\x0ab"),
        (b"/tmp/back\\slash", r"/tmp/back\\slash"),
        (b'/tmp/"quote"', '/tmp/"quote"'),
        (b"/tmp/\x1b[31mred", r"/tmp/\x1b[31mred"),
        (b"/tmp/\xff\xfe", r"/tmp/\xff\xfe"),
        ("/tmp/‮gpj".encode(), r"/tmp/\xe2\x80\xaegpj"),
        ("/tmp/a\u00a0b".encode(), r"/tmp/a\xc2\xa0b"),
    ],
)
def test_only_unprintable_characters_are_escaped(name, label):
    assert escape(name) == label
