"""A real Prometheus scrapes the real exporter over TLS, and is admitted or refused as web.yml configures."""

import re
import time

import bcrypt
import pytest

from tests.e2e.prometheus import prometheus
from tests.kernel.command import served
from tests.kernel.programs import execute, static_elf
from tests.unit.serving import Authority, web_yml

PASSWORD = "correct horse"
HASH = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
TLS = "tls_server_config: {cert_file: server.pem, key_file: server.key%s}\n"
PASSWORDS = TLS % "" + f'basic_auth_users: {{prometheus: "{HASH}"}}\n'
CERTIFICATES = TLS % (
    ", client_auth_type: RequireAndVerifyClientCert, client_ca_file: authority.pem"
    ", client_allowed_sans: [scraper.example]"
)
RATE = TLS % "" + "rate_limit: {burst: 3, interval: 1h}\n"
# Errors of a client without certificate: alerts of TLS 1.3 or 1.2, or of a connection that is closed before.
NO_CERTIFICATE = r"certificate required|unknown (certificate )?(authority|CA)|handshake failure|reset by peer|EOF"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    authority = Authority(tmp_path_factory.mktemp("authority"))
    for name in ("server", "other"):
        authority.sign(name)
    authority.sign("client", "DNS:scraper.example")
    return authority


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    stranger = Authority(tmp_path_factory.mktemp("stranger"), "stranger")
    stranger.sign("client", "DNS:scraper.example")
    return stranger


def jobs(exporter, authority, **options):
    """Return a job per keyword: its options, and TLS that trusts the authority."""
    return [
        {
            "job_name": name,
            "scheme": "https",
            "static_configs": [{"targets": [exporter.url.removeprefix("http://")]}],
            **more,
            "tls_config": {"ca_file": str(authority.certificate), **more.get("tls_config", {})},
        }
        for name, more in options.items()
    ]


def scraped(server):
    """Return health and last error by job, when all have been scraped.

    Prometheus shows the health of a target before it has stored the samples.
    """

    def all_scraped():
        targets = server.targets()
        return targets if targets and all(target["health"] != "unknown" for target in targets) else None

    targets = server.wait_until(all_scraped)
    server.wait_until(lambda: len(server.query("up")) == len(targets))
    return {target["labels"]["job"]: (target["health"], target["lastError"]) for target in targets}


def up(server):
    return {labels["job"]: value for labels, value in server.query("up")}


def files(authority, name="client"):
    return {"cert_file": f"{authority.directory}/{name}.pem", "key_file": f"{authority.directory}/{name}.key"}


def user(name, password):
    return {"basic_auth": {"username": name, "password": password}}


def test_prometheus_is_admitted_as_configured(probes, authority, stranger, tmp_path):
    program = static_elf(tmp_path / "static")
    directory = authority.directory
    with served(f"--web.config.file={web_yml(directory, PASSWORDS)}") as exporter:
        execute(program, 11)
        with_passwords = jobs(
            exporter,
            authority,
            right=user("prometheus", PASSWORD),
            wrong=user("prometheus", "wrong"),
            unknown=user("somebody", PASSWORD),
            none={},
            distrustful={**user("prometheus", PASSWORD), "tls_config": {"ca_file": str(stranger.certificate)}},
            plain={**user("prometheus", PASSWORD), "scheme": "http"},
        )
        with prometheus({"scrape_configs": with_passwords}) as server:
            states = scraped(server)
            assert states.pop("right") == ("up", "")
            for job in ("wrong", "unknown", "none"):
                assert states.pop(job) == ("down", "server returned HTTP status 401 Unauthorized")
            assert "unknown authority" in states.pop("distrustful")[1]
            assert states.pop("plain")[0] == "down"
            assert up(server) == {"right": 1, "wrong": 0, "unknown": 0, "none": 0, "distrustful": 0, "plain": 0}
            assert [value for _, value in server.query(f'exec_executions_total{{path="{program}"}}')] == [11]
            attached = server.query("exec_exporter_probe_attached")
            assert [(labels["job"], value) for labels, value in attached] == [("right", 1)]

        web_yml(directory, CERTIFICATES)
        with_certificates = jobs(
            exporter,
            authority,
            right={"tls_config": files(authority)},
            none={},
            stranger={"tls_config": files(stranger)},
            misnamed={"tls_config": files(authority, "other")},
        )
        with prometheus({"scrape_configs": with_certificates}) as server:
            states = scraped(server)
            assert states.pop("right") == ("up", "")
            assert states.pop("misnamed") == ("down", "server returned HTTP status 403 Forbidden")
            for job in ("none", "stranger"):
                health, error = states.pop(job)
                assert health == "down"
                assert re.search(NO_CERTIFICATE, error), error
            assert up(server) == {"right": 1, "none": 0, "stranger": 0, "misnamed": 0}

        web_yml(directory, RATE)
        with prometheus({"scrape_configs": jobs(exporter, authority, eager={})}) as server:
            assert scraped(server) == {"eager": ("up", "")}
            refused = {"eager": ("down", "server returned HTTP status 429 Too Many Requests")}
            server.wait_until(lambda: scraped(server) == refused)
            server.wait_until(lambda: up(server) == {"eager": 0})
            ((_, let_in),) = server.query("sum_over_time(up[1h])")
            assert 1 <= let_in <= 3, "the burst; on a busy machine some of it may have come too late for Prometheus"


def test_jobs_scrape_different_collectors_of_one_exporter(probes, tmp_path):
    program, begun = static_elf(tmp_path / "static"), time.time()
    with served() as exporter:
        execute(program, 7)
        executed = time.time()
        targets = {"static_configs": [{"targets": [exporter.url.removeprefix("http://")]}]}
        parameters = {
            "often": {"exclude[]": ["processes"]},
            "rarely": {"collect[]": ["processes"]},
            "mistaken": {"collect[]": ["process"]},
        }
        configs = [{"job_name": name, "params": params, **targets} for name, params in parameters.items()]
        with prometheus({"scrape_configs": configs}) as server:
            states = scraped(server)
            assert states == {
                "often": ("up", ""),
                "rarely": ("up", ""),
                "mistaken": ("down", "server returned HTTP status 400 Bad Request"),
            }

            def jobs_with(promql):
                return {labels["job"] for labels, _ in server.query(promql)}

            assert jobs_with(f'exec_executions_total{{path="{program}"}} == 7') == {"often"}
            assert jobs_with("exec_running_processes") == {"rarely"}
            assert jobs_with("process_start_time_seconds") == {"often", "rarely"}
            # a Prometheus without created-timestamp-zero-ingestion stores the timestamps as series
            ((_, created),) = server.query(f'exec_executions_created{{path="{program}"}}')
            assert begun - 0.1 < created < executed + 0.1
