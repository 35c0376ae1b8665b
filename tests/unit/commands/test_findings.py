"""`exec_exporter findings` on a catalogue that no service has open."""

import json

import pytest

from exporter.catalogue.catalogue import FOUND, Catalogue
from exporter.catalogue.finding import Finding, Reason
from exporter.commands import findings
from exporter.errors import FAILED, USAGE, ExporterError

OPEN = Finding(Reason.NEW_PATH, "/opt/open", "", b"a" * 32, 951_782_400.0, 951_782_401.0)
SCRIPT = Finding(Reason.SCRIPT, "/opt/run", "/bin/sh", b"b" * 32, 951_782_300.0, 951_782_301.0)


@pytest.fixture
def command(tmp_path, capsys):
    path = tmp_path / "catalogue.db"
    catalogue = Catalogue(path, create=True)
    with catalogue.transaction():
        for finding in (SCRIPT, OPEN):
            catalogue.remember(finding.path, finding.content, FOUND, 1.0)
            catalogue.add_finding(finding, '{"pid": 7, "argv": null, "unavailable": {"argv": "not asked for"}}')
    catalogue.close()

    def run(*arguments):
        findings.run([*arguments, f"--catalogue.path={path}"])
        return capsys.readouterr().out

    return run


def test_the_newest_open_finding_is_listed_first(command):
    assert command("list").splitlines() == [
        "ID                FIRST SEEN            REASON    STATUS  PATH",
        f"{OPEN.id}  2000-02-29 00:00:00Z  new_path  open    /opt/open",
        f"{SCRIPT.id}  2000-02-28 23:58:20Z  script    open    /opt/run (/bin/sh)",
    ]


def test_a_finding_is_shown_by_the_beginning_of_its_id_with_its_execution(command):
    shown = [line.split(maxsplit=1) for line in command("show", OPEN.id[:9]).splitlines()]
    assert ["sha256", OPEN.content.hex()] in shown
    assert ["pid", "7"] in shown
    assert ["argv", "- (not asked for)"] in shown


def test_an_accepted_finding_is_closed_until_the_acceptance_is_withdrawn(command):
    assert command("accept", "--path=/opt/op*", "--reason=ours") == "accepted path /opt/op*\n1 open finding closed\n"
    assert [one["path"] for one in json.loads(command("list", "--json"))] == ["/opt/run"]
    assert command("acceptances").splitlines()[1] == "path  /opt/op*  never    ours"
    assert command("forget", "--path=/opt/op*") == "withdrew path /opt/op*\n"
    assert command("acceptances") == "no acceptances\n"


@pytest.mark.parametrize(
    ("arguments", "status", "error"),
    [
        (("show", "xyz"), USAGE, "not a finding's id"),
        (("show", "0" * 16), FAILED, "there is no finding 0000000000000000"),
        (("accept", "--reason=r"), USAGE, "nothing to accept"),
        (("accept", "--reason=r", "--path=/x", "--expires=2001-01-01"), USAGE, "in the past"),
        (("forget",), USAGE, "nothing to forget"),
        (("forget", "--path=/x"), FAILED, "there is no acceptance path /x"),
    ],
)
def test_errors_name_the_invalid_value(command, arguments, status, error):
    with pytest.raises(ExporterError, match=error) as raised:
        command(*arguments)
    assert raised.value.status == status
