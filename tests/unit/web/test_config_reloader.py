import shutil

import bcrypt

from tests.unit.serving import serving, web_yml
from tests.unit.web.web_yml import MUTUAL, PAIR, refused, tls

HASH = bcrypt.hashpw(b"correct horse", bcrypt.gensalt(4)).decode()


def test_a_changed_file_and_certificate_are_in_force_at_once(authority, tmp_path):
    for name in ("server.pem", "server.key", "other.pem", "other.key", "authority.pem"):
        shutil.copy(authority.directory / name, tmp_path)
    client = authority.client()
    path = web_yml(tmp_path, tls(PAIR))
    with serving(path) as served:
        assert served.ask(tls=client)[0] == 200
        web_yml(tmp_path, tls(MUTUAL))
        assert refused(served, client)
        web_yml(tmp_path, tls(PAIR) + f'basic_auth_users: {{a: "{HASH}"}}')
        assert served.ask(tls=client)[0] == 401
        web_yml(tmp_path, tls(PAIR))
        before = certificate(served, client)
        (tmp_path / "other.pem").replace(tmp_path / "server.pem")
        assert certificate(served, client) == before, "a certificate without its key is in force"
        (tmp_path / "other.key").replace(tmp_path / "server.key")
        assert certificate(served, client) != before


def certificate(served, client):
    with served.connect() as plain, client.wrap_socket(plain, server_hostname="localhost") as connection:
        return connection.getpeercert(binary_form=True)


def test_a_bad_change_is_logged_once_and_the_last_good_version_stays(authority, tmp_path, caplog):
    for name in ("server.pem", "server.key"):
        shutil.copy(authority.directory / name, tmp_path)
    with serving(web_yml(tmp_path, tls(PAIR))) as served:
        for text, words in (("tls_server_config: [", "not YAML"), ("", "TLS can be turned on or off by a restart")):
            web_yml(tmp_path, text)
            for _ in range(3):
                assert served.ask(tls=authority.client())[0] == 200
            assert len([record for record in caplog.records if words in record.message]) == 1
