"""Asks the service as Prometheus does: test.py URL EXPECTED, where EXPECTED is `scrape` or `authentication`."""

import socket
import ssl
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

DEADLINE_SECONDS = 60


def scrape(url):
    """Wants the metrics, whatever certificate they come with."""
    anyone = ssl.create_default_context()
    anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
    with urllib.request.urlopen(url, timeout=10, context=anyone) as answer:  # noqa: S310 - the chart gives the URL
        lines = answer.read().decode().splitlines()
    if "exec_exporter_probe_attached 1.0" not in lines:
        sys.exit(f"{url} answers, but its probe is not attached")
    executions = sum(float(line.split()[-1]) for line in lines if line.startswith("exec_executions_total{"))
    return f"{url}: the probe is attached, {executions:.0f} executions counted"


def connect(url):
    """Wants somebody who listens: what a password or a certificate is needed for is not to be had here."""
    address = urllib.parse.urlsplit(url)
    socket.create_connection((address.hostname, address.port), timeout=10).close()
    return f"{url}: somebody listens there, who wants a password or a certificate"


ask = {"scrape": scrape, "authentication": connect}[sys.argv[2]]
end = time.monotonic() + DEADLINE_SECONDS
while True:
    try:
        print(ask(sys.argv[1]))
        break
    except OSError as error:  # not there yet: addresses and names take their time after an installation
        if time.monotonic() > end:
            sys.exit(f"{sys.argv[1]} does not answer: {error}")
        time.sleep(1)
