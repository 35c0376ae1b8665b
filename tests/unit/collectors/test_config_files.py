from exporter.catalogue.accepted_file import AcceptedFile
from exporter.collectors.config_files import config_files
from exporter.metrics.definitions import CONFIG_RELOADED
from exporter.web.config_reloader import WebFile


def shown(*files):
    (family,) = config_files(files)
    return {sample.labels["file"]: sample.value for sample in family.samples}


def test_each_configured_file_shows_its_last_reload(tmp_path):
    web, accepted = tmp_path / "web.yml", tmp_path / "accepted.yml"
    web.write_text("rate_limit: {burst: 1, interval: 1s}")
    accepted.write_text("accepted: []")
    files = WebFile(web), AcceptedFile(accepted)
    assert shown(*files) == dict.fromkeys(CONFIG_RELOADED.values["file"][1:], 1)  # config.file has no thread
    web.write_text("rate_limit: {burst: many}")
    files[0].reload()
    assert shown(*files) == {"web.config.file": 0, "findings.accepted-file": 1}
    web.write_text("")
    files[0].reload()
    assert shown(*files) == {"web.config.file": 1, "findings.accepted-file": 1}


def test_without_files_there_are_no_series():
    assert shown(WebFile(None), AcceptedFile(None)) == {}
