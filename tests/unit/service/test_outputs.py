import pytest

from exporter.errors import ExporterError
from exporter.metrics.exposition import Exposition
from exporter.metrics.flags import OutputOptions
from exporter.service.outputs import HTTP, keep_writing, write
from exporter.web.flags import WebOptions
from tests.unit.serving import Served, rows

LINE = 'exec_executions_total{interpreter="",path="/usr/bin/program-2",stdin_type="file"} 2.0'


@pytest.fixture
def exposition():
    exposition = Exposition(lambda _: rows(3))
    yield exposition
    exposition.close()


def test_once_prints_to_standard_output(exposition, capfdbinary):
    assert write(OutputOptions(True, None, 15), exposition) == "printed once"
    assert LINE.encode() in capfdbinary.readouterr().out


@pytest.mark.parametrize(("once", "summary"), [(True, "wrote {}"), (False, "writing {} every 15 s")])
def test_the_textfile_is_whole_and_readable_by_all(exposition, tmp_path, once, summary):
    path = tmp_path / "exec.prom"
    assert write(OutputOptions(once, path, 15), exposition) == summary.format(path)
    assert LINE in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [path]


def test_a_textfile_that_cannot_be_written_is_an_error(exposition, tmp_path):
    (tmp_path / "exec.prom").mkdir()
    with pytest.raises(ExporterError, match=r"^cannot write to .*/exec.prom \(Is a directory\): give a --textfile"):
        write(OutputOptions(True, tmp_path / "exec.prom", 15), exposition)


def test_the_textfile_is_removed_at_the_stop(exposition, tmp_path):
    options = OutputOptions(False, tmp_path / "exec.prom", 15)
    write(options, exposition)
    keep_writing(options, exposition, lambda seconds: seconds == 15)
    assert list(tmp_path.iterdir()) == []


def test_http_listens_when_made_serves_from_its_start_and_ends_at_the_stop(exposition):
    http = HTTP(WebOptions(("127.0.0.1:0",), False, None, "/metrics", 40, 30))
    try:
        running = http.start(exposition, lambda: "not attached", ("executions",), lambda: "")
        port = int(running.removeprefix("serving http://127.0.0.1:").removesuffix("/metrics"))
        assert Served(port).ask()[0] == 200
        assert Served(port).ask("/-/ready")[::2] == (503, b"not attached\n")
        assert Served(port).ask("/-/reload", "POST")[0] == 403
        http.stop()
        with pytest.raises(ConnectionRefusedError):
            Served(port).connect()
    finally:
        http.close()
