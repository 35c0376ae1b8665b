from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from exporter.metrics import definitions
from exporter.metrics.scrape import Scrape


def exposed(scrape):
    registry = CollectorRegistry(auto_describe=False)
    registry.register(scrape)
    text = generate_latest(registry).decode()
    return {(s.name, *s.labels.values()): s.value for f in text_string_to_metric_families(text) for s in f.samples}


def attached():
    family = definitions.PROBE_ATTACHED.family()
    family.add_metric((), 1)
    return [family]


def test_a_collector_that_fails_costs_only_itself_and_is_logged_once(caplog):
    def fail():
        yield from attached()
        raise OSError(5, "the map is gone")

    scrape = Scrape({"executions": fail, "probe": attached})
    for _ in range(3):
        samples = exposed(scrape)
        assert samples["exec_exporter_collector_success", "executions"] == 0
        assert samples["exec_exporter_collector_success", "probe"] == 1
        assert samples["exec_exporter_probe_attached",] == 1
    assert len(caplog.records) == 1
    assert "the map is gone" in caplog.text


def test_a_selection_runs_the_first_collector_and_shows_what_is_wanted():
    ran = []
    scrape = Scrape(
        {name: lambda name=name: ran.append(name) or attached() for name in ("executions", "forks", "probe")}
    )
    for wanted, names in (({"forks"}, ["executions", "forks"]), ({"executions"}, ["executions"])):
        ran.clear()
        *shown, success, duration = scrape.collect(wanted)
        assert ran == names
        assert len(shown) == 1
        for family in (success, duration):
            assert {sample.labels["collector"] for sample in family.samples} == wanted


def test_a_selection_leaves_the_state_of_other_collectors_unchanged():
    def fail():
        raise OSError(5, "no")

    scrape = Scrape({"executions": attached, "forks": fail, "probe": attached})
    list(scrape.collect())
    list(scrape.collect({"probe"}))
    assert scrape.failing == ("forks",)


def test_a_collector_that_works_again_logs_that(caplog):
    caplog.set_level("INFO")
    results = [OSError("no"), None]

    def once():
        result = results.pop(0)
        if result:
            raise result
        return attached()

    scrape = Scrape({"probe": once})
    exposed(scrape)
    assert exposed(scrape)["exec_exporter_collector_success", "probe"] == 1
    assert "works again" in caplog.text
