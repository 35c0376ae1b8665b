"""Pieces of files for --web.config.file; certificates are those of the fixtures in conftest.py."""

import ssl

PAIR = "cert_file: server.pem, key_file: server.key"
MUTUAL = f"{PAIR}, client_auth_type: RequireAndVerifyClientCert, client_ca_file: authority.pem"


def tls(text):
    return f"tls_server_config: {{{text}}}\n"


def refused(served, client):
    """Return True if a client with this TLS context gets no metrics."""
    try:
        return served.ask(tls=client)[0] == 403
    except (ssl.SSLError, ConnectionError):
        return True
