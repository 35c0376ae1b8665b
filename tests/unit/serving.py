"""A server on a real socket of the loopback device, in this process, with series that need no kernel."""

import http.client
import socket
import ssl
import subprocess
from contextlib import contextmanager
from pathlib import Path

from exporter.metrics import definitions
from exporter.metrics.exposition import Exposition
from exporter.metrics.family import RowFamily
from exporter.web.app import App
from exporter.web.config_reloader import WebFile
from exporter.web.server import Server
from exporter.web.sockets import listen


def rows(count):
    return [RowFamily(definitions.EXECUTIONS, {(f"/usr/bin/program-{n}", "", "file"): n for n in range(count)})]


class Served:
    def __init__(self, port):
        self.port = port

    def ask(self, path="/metrics", method="GET", headers=None, tls=None):
        """Return the response as (status, headers, body)."""
        if tls:
            connection = http.client.HTTPSConnection("localhost", self.port, timeout=120, context=tls)
        else:
            connection = http.client.HTTPConnection("localhost", self.port, timeout=120)
        try:
            connection.request(method, path, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=120)


@contextmanager
def serving(web_config=None, families=lambda _: rows(3), idle_seconds=30, write_seconds=30, **options):
    web = WebFile(web_config)
    sockets = listen(("127.0.0.1:0",))
    app = App(Exposition(families), web, **options)
    server = Server(sockets, app.respond, web, idle_seconds, write_seconds)
    server.start()
    try:
        yield Served(sockets[0].getsockname()[1])
    finally:
        server.close()
        app.close()


class Authority:
    """A certificate authority in a directory, and its certificates."""

    def __init__(self, directory, name="authority"):
        self.directory = directory
        self.certificate, self.key = directory / f"{name}.pem", directory / f"{name}.key"
        usage = "keyUsage=critical,keyCertSign,cRLSign"
        self._new(self.certificate, self.key, name, "-x509", "-days", "2", "-addext", usage)

    def sign(self, name, sans="DNS:localhost,IP:127.0.0.1"):
        """Make a certificate and its key."""
        certificate, key, request = (self.directory / f"{name}.{suffix}" for suffix in ("pem", "key", "csr"))
        extensions = self.directory / "extensions"
        extensions.write_text(f"subjectAltName={sans}\nauthorityKeyIdentifier=keyid\n")
        self._new(request, key, name)
        authority = ["-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial"]
        openssl("x509", "-req", "-in", request, *authority, "-days", "2", "-extfile", extensions, "-out", certificate)
        return certificate, key

    def client(self, certificate=None):
        """Return a client's TLS context that trusts this authority."""
        context = ssl.create_default_context(cafile=self.certificate)
        if certificate:
            context.load_cert_chain(*certificate)
        return context

    @staticmethod
    def _new(out, key, name, *options):
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc"]
        openssl("req", *options, *curve, "-subj", f"/CN={name}", "-keyout", key, "-out", out)


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def web_yml(directory: Path, text):
    path = directory / "web.yml"
    path.write_text(text, "utf-8", "surrogateescape")
    return path
