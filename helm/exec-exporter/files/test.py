"""Scrape the service like Prometheus: test.py URL EXPECTED, with `scrape` or `authentication` as EXPECTED."""

import socket
import ssl
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

DEADLINE_SECONDS = 60


def scrape(url):
    """Scrape the metrics without verifying the certificate, and check that the probe is attached."""
    unverified = ssl.create_default_context()
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    with urllib.request.urlopen(url, timeout=10, context=unverified) as response:  # noqa: S310 - the chart gives the URL
        lines = response.read().decode().splitlines()
    if "exec_exporter_probe_attached 1.0" not in lines:
        sys.exit(f"{url} responds, but its probe is not attached")
    executions = sum(float(line.split()[-1]) for line in lines if line.startswith("exec_executions_total{"))
    return f"{url}: the probe is attached, {executions:.0f} executions counted"


def connect(url):
    """Connect only: this pod has neither the password nor the certificate that a scrape requires."""
    address = urllib.parse.urlsplit(url)
    socket.create_connection((address.hostname, address.port), timeout=10).close()
    return f"{url}: the port is open; scrapes require a password or a certificate"


check = {"scrape": scrape, "authentication": connect}[sys.argv[2]]
end = time.monotonic() + DEADLINE_SECONDS
while True:
    try:
        print(check(sys.argv[1]))
        break
    except OSError as error:  # addresses and names take a while after an installation
        if time.monotonic() > end:
            sys.exit(f"{sys.argv[1]} does not respond: {error}")
        time.sleep(1)
