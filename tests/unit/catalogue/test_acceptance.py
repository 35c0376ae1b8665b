from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.catalogue.acceptance import KINDS, Acceptance, accepted_by, check, expiry, next_expiry
from exporter.catalogue.accepted_file import AcceptedFile, parse
from exporter.config.yaml_file import YAMLFileError
from exporter.errors import ExporterError

FINDING = dict(zip(KINDS, ("00112233445566aa", "ab" * 32, "/opt/ci/build-1/run", ""), strict=True))


@pytest.mark.parametrize(
    ("kind", "pattern", "covered"),
    [
        ("id", "00112233445566aa", True),
        ("id", "00112233445566ab", False),
        ("hash", "ab" * 32, True),
        ("hash", "ac" * 32, False),
        ("path", "/opt/ci/*", True),
        ("path", "/opt/ci/build-?/run", True),
        ("path", "/opt/CI/*", False),
        ("path", "/opt/ci", False),
        ("package", "*", False),
    ],
)
def test_covered_findings(kind, pattern, covered):
    assert Acceptance(kind, pattern).covers(FINDING, now=0) is covered


def test_a_package_covers_files_with_its_digest():
    owned = dict(zip(KINDS, ("0" * 16, "", "/usr/bin/nmap", "nmap"), strict=True))
    assert Acceptance("package", "nmap").covers(owned, 0)
    assert Acceptance("package", "*").covers(owned, 0)
    assert not Acceptance("package", "nma").covers(owned, 0)


def test_an_unknown_content_can_be_accepted_by_no_hash():
    with pytest.raises(ValueError, match="SHA-256"):
        check("hash", "")


@given(st.floats(0, 4e9), st.floats(0, 4e9))
def test_it_ends_when_it_expires(now, expires):
    assert Acceptance("path", "/opt/*", expires=expires).covers(FINDING, now) is (now < expires)
    assert next_expiry([Acceptance("path", "/", expires=expires)], now) == (expires if expires > now else None)


def test_the_first_that_covers_is_named():
    first, second = Acceptance("path", "/opt/*", "one"), Acceptance("path", "*", "two")
    assert accepted_by([Acceptance("id", "0" * 16), first, second], FINDING, 0) == first
    assert accepted_by([], FINDING, 0) is None


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2030-12-31", datetime(2030, 12, 31, 23, 59, 59, 999999, UTC)),
        ("2030-12-31T12:00:00Z", datetime(2030, 12, 31, 12, tzinfo=UTC)),
        ("2030-12-31T12:00:00+01:00", datetime(2030, 12, 31, 11, tzinfo=UTC)),
        ("2030-12-31T12:00:00", datetime(2030, 12, 31, 12, tzinfo=UTC)),
    ],
)
def test_expiry(text, moment):
    assert expiry(text) == moment.timestamp()
    (entry,) = parse(f"accepted: [{{path: /x, reason: r, expires: {text}}}]")
    assert entry.expires == moment.timestamp()


@pytest.mark.parametrize("value", ["", "tomorrow", "2030-13-01", 5, None, []])
def test_no_expiry(value):
    with pytest.raises(ValueError, match="neither a date"):
        expiry(value)


FILE = """\
accepted:
  - id: "0123456789abcdef"
    reason: ticket 1
  - hash: {hash}
    reason: built by us
  - path: /opt/ci/*
    reason: build hosts
    expires: 2030-01-01
  - package: nmap
    reason: network team
"""


def test_the_file():
    entries = parse(FILE.format(hash="ab" * 32))
    assert [(entry.kind, entry.pattern) for entry in entries] == [
        ("id", "0123456789abcdef"),
        ("hash", "ab" * 32),
        ("path", "/opt/ci/*"),
        ("package", "nmap"),
    ]
    assert entries[0].reason == "ticket 1"
    assert [entry.expires is None for entry in entries] == [True, True, False, True]


@pytest.mark.parametrize("text", ["", "# nothing", "accepted:", "accepted: []"])
def test_an_empty_file_accepts_nothing(text):
    assert parse(text) == []


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("- path: /x", 1, "not a mapping"),
        ("acepted: []", 1, "unknown key 'acepted'"),
        ("accepted: /x", 1, "not a list"),
        ("accepted:\n- /x", 2, "an entry is not a mapping"),
        ("accepted:\n- {path: /x, reason: r}\n- {path: /x, reson: r}", 3, "unknown key 'reson'"),
        ("accepted:\n- {path: /x}", 2, "has no reason"),
        ("accepted:\n- {reason: r}", 2, "an entry has 0 of"),
        ("accepted:\n- {path: /x, package: y, reason: r}", 2, "an entry has 2 of"),
        ("accepted:\n- {id: 1234567890123456, reason: r}", 2, "not a string"),
        ("accepted:\n- {id: abc, reason: r}", 2, "16 hexadecimal"),
        ("accepted:\n- {hash: abc, reason: r}", 2, "64 hexadecimal"),
        ("accepted:\n- {path: opt, reason: r}", 2, "must start with /"),
        ('accepted:\n- {package: "", reason: r}', 2, "empty"),
        ("accepted:\n- {path: /x, reason: r, expires: soon}", 2, "neither a date"),
        ("accepted:\n- path: /x\n  path: /y", 3, "given twice"),
        ("accepted: [", 1, "not YAML"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(text, line, said):
    with pytest.raises(YAMLFileError, match=said) as refused:
        parse(text)
    assert refused.value.line == line


def test_a_file_that_changes(tmp_path, caplog):
    path = tmp_path / "accepted.yml"
    path.write_text("accepted: [{path: /a, reason: r}]")
    file = AcceptedFile(path)
    assert not file.reload()
    path.write_text("accepted: [{path: /a, reason: r}, {path: /b, reason: r}]")
    assert file.reload()
    assert not file.reload()
    path.write_text("accepted: nonsense")
    assert not file.reload()
    assert [entry.pattern for entry in file.value] == ["/a", "/b"]
    assert not file.successful
    assert "last good version" in caplog.text
    path.unlink()
    assert not file.reload()
    assert len(file.value) == 2
    path.write_text("accepted: []")
    assert file.reload()
    assert (file.value, file.successful) == ([], True)


@pytest.mark.parametrize("text", ["accepted: nonsense", None])
def test_a_file_that_is_wrong_to_begin_with_is_refused(tmp_path, text):
    path = tmp_path / "accepted.yml"
    if text:
        path.write_text(text)
    with pytest.raises(ExporterError, match=r"accepted\.yml") as refused:
        AcceptedFile(path)
    assert refused.value.status == 2


def test_no_file_accepts_nothing():
    file = AcceptedFile(None)
    assert (file.value, file.reload()) == ([], False)
