import pytest

from exporter.errors import ExporterError
from exporter.service.options import parse


def test_the_defaults_are_those_of_the_design():
    options = parse([])
    assert (options.web.listen_addresses, options.web.telemetry_path, options.service.check) == (
        (":10042",),
        "/metrics",
        False,
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--nonsense"], "unrecognized arguments: --nonsense"),
        (["--log.level=loud"], "--log.level"),
        (["--web.listen-address=10042"], "not an address"),
        (["--web.listen-address=::1:10042"], "not an address"),
        (["--web.listen-address=:70000"], "not an address"),
        (["--web.listen-address=:\u0663"], "not an address"),
        (["--web.telemetry-path=metrics"], "not a path"),
        (["--web.telemetry-path=/-/ready"], "not a path"),
        (["--web.telemetry-path=//a"], "not a path"),
        (["--web.listen-address=:1", "--web.listen-address=nonsense"], "nonsense is not an address"),
        (["--web.listen-address=:1", "--web.systemd-socket"], "both given"),
        (["--web.max-requests=-1"], "not a number from 0 to"),
        (["--web.idle-timeout=0"], "not a number from 1 to"),
        (["--log.format=xml"], "--log.format"),
        (["--textfile=/tmp/exec.txt"], "does not end in .prom"),
        (["--textfile=/no/such/exec.prom"], "/no/such is not a directory"),
        (["--bpf.map-entries=0"], "not a number from 1 to"),
        (["--bpf.map-entries=many"], "not a number from 1 to"),
        (["--bpf.ring-buffer-pages=3"], "not a power of two"),
        (["--web.listen"], "unrecognized arguments"),
    ],
)
def test_invalid_arguments_are_refused_in_one_line_with_status_2(arguments, words):
    with pytest.raises(ExporterError) as refused:
        parse(arguments)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
    assert refused.value.status == 2
