from exporter.events.event_fields import lacks_cgroup, not_asked, unavailable
from exporter.probe.features import FEATURES


def test_cgroups_have_ids_where_version_2_is(tmp_path):
    own = tmp_path / "cgroup"
    own.write_text("0::/user.slice\n")
    assert lacks_cgroup(own) == {}
    own.write_text("3:memory:/x\n1:name=systemd:/\n0::/\n")
    assert lacks_cgroup(own) == {}


def test_where_only_version_1_is_the_field_says_why_it_is_null(tmp_path):
    own = tmp_path / "cgroup"
    own.write_text("3:memory:/0::\n2:pids:/\n")
    assert lacks_cgroup(own) == {"cgroup": "cgroup v2 is not mounted on this machine"}


def test_a_missing_feature_makes_every_field_that_needs_it_unavailable():
    missing = [feature for feature in FEATURES if feature.name in ("ctime", "stdin")]
    reasons = unavailable(missing)
    assert reasons == {
        "ctime": "this kernel lacks ctime",
        "interpreter_ctime": "this kernel lacks ctime",
        "stdin_type": "this kernel lacks stdin",
        "stdin_path": "this kernel lacks stdin",
    }


def test_arguments_and_environment_are_not_recorded_unless_asked_for():
    assert not_asked(0, "none").keys() == {"argv", "env"}
    assert not_asked(1, "none").keys() == {"env"}
    assert not_asked(0, "names").keys() == {"argv"}
