from exporter.events.event_arguments import lacks_cgroup


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
