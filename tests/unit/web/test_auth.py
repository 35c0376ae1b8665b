import base64
import time

import bcrypt

from tests.unit.serving import serving, web_yml

PASSWORD, HASH = "correct horse", bcrypt.hashpw(b"correct horse", bcrypt.gensalt(4)).decode()


def basic(user, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def test_users_and_passwords(authority):
    with serving(web_yml(authority.directory, f'basic_auth_users: {{prometheus: "{HASH}"}}')) as served:
        assert served.ask(headers=basic("prometheus", PASSWORD))[0] == 200
        status, headers, body = served.ask(headers=basic("prometheus", "wrong"))
        assert (status, headers["WWW-Authenticate"]) == (401, "Basic")
        assert b"exec_" not in body
        for wrong in (
            {},
            basic("other", PASSWORD),
            basic("prometheus", ""),
            basic("prometheus", PASSWORD + "\0"),
            {"Authorization": "Basic !!!"},
            {"Authorization": "Bearer abc"},
            {"Authorization": "Basic " + base64.b64encode(b"prometheus").decode()},
        ):
            for path in ("/metrics", "/", "/-/healthy", "/nothing"):
                assert served.ask(path, headers=wrong)[0] == 401, (wrong, path)


def test_user_names_may_look_like_other_types_to_yaml(authority):
    users = f'basic_auth_users: {{123: "{HASH}", yes: "{HASH}", 1.50: "{HASH}", 2026-01-01: "{HASH}"}}'
    with serving(web_yml(authority.directory, users)) as served:
        for name in ("123", "yes", "1.50", "2026-01-01"):
            assert served.ask(headers=basic(name, PASSWORD))[0] == 200
        assert served.ask(headers=basic("1.5", PASSWORD))[0] == 401


def test_unknown_users_cost_as_much_as_known_ones_and_correct_passwords_are_remembered(authority):
    costly = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(9)).decode()

    def seconds(user, password):
        started = time.process_time()  # of this process, server included: other processes may be busy
        served.ask(headers=basic(user, password))
        return time.process_time() - started

    with serving(web_yml(authority.directory, f'basic_auth_users: {{prometheus: "{costly}"}}')) as served:
        seconds("prometheus", PASSWORD)
        known, unknown, remembered = (
            min(seconds(user, password) for _ in range(5))
            for user, password in (("prometheus", "wrong"), ("other", "wrong"), ("prometheus", PASSWORD))
        )
    assert 0.5 < unknown / known < 2
    assert remembered < known / 2
