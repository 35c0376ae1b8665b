"""Rules rewrite any path, and the result is always an escaped absolute path."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.escape import escape, unescape
from exporter.events.labels import Labels
from exporter.metrics.path_presets import PRESETS
from exporter.metrics.path_rules import MAX_BYTES, PathRules, rule

H64, H32, H16 = "3fa5" * 16, "3fa5" * 8, "3fa5" * 4
UUID = "0b8f3c2e-4a55-4e0e-9d2b-7a6f1c9b8e21"
SEEN = {
    "nix": {
        "/nix/store/0c1n2y9vzaklw3vx4dkg9mb7hm3l3wzc-bash-interactive-5.2p37/bin/bash": (
            "/nix/store/bash-interactive-5.2p37/bin/bash"
        ),
        "/gnu/store/2fk1gz2s7ppdicynscra9b19byrrr866-glibc-2.39/lib/ld-linux-x86-64.so.2": (
            "/gnu/store/glibc-2.39/lib/ld-linux-x86-64.so.2"
        ),
        "/nix/store/bin/bash": "/nix/store/bin/bash",
        "/nix/store/.links/0c1n2y9v": "/nix/store/.links/0c1n2y9v",
    },
    "containers": {
        f"/var/lib/docker/overlay2/{H64}/merged/usr/bin/env": "/var/lib/docker/overlay2/*/merged/usr/bin/env",
        f"/var/lib/docker/overlay2/{H64}-init/diff/x": "/var/lib/docker/overlay2/*/diff/x",
        "/var/lib/docker/overlay2/q3v8y2k1x9z0a7b6c5d4e3f2g/diff/bin/sh": "/var/lib/docker/overlay2/*/diff/bin/sh",
        "/var/lib/docker/overlay2/l/ABCDEF/bin/sh": "/var/lib/docker/overlay2/l/ABCDEF/bin/sh",
        f"/var/lib/docker/rootfs/overlayfs/{H64}/bin/sh": "/var/lib/docker/rootfs/overlayfs/*/bin/sh",
        f"/home/u/.local/share/containers/storage/overlay/{H64}/merged/bin/sh": (
            "/home/u/.local/share/containers/storage/overlay/*/merged/bin/sh"
        ),
        "/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/1234/fs/pause": (
            "/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/*/fs/pause"
        ),
        "/var/lib/rancher/k3s/agent/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/9/fs/bin/sh": (
            "/var/lib/rancher/k3s/agent/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/*/fs/bin/sh"
        ),
        f"/run/containerd/io.containerd.runtime.v2.task/k8s.io/{H64}/rootfs/bin/sh": (
            "/run/containerd/io.containerd.runtime.v2.task/k8s.io/*/rootfs/bin/sh"
        ),
        f"/var/lib/kubelet/pods/{UUID}/volumes/kubernetes.io~empty-dir/tools/run": (
            "/var/lib/kubelet/pods/*/volumes/kubernetes.io~empty-dir/tools/run"
        ),
        f"/var/lib/kubelet/pods/{H32}/etc-hosts": "/var/lib/kubelet/pods/*/etc-hosts",
        "/srv/pods/web/run": "/srv/pods/web/run",
    },
    "build": {
        "/tmp/tmp.Xa83kQpZ1c/install.sh": "/tmp/tmp.*/install.sh",
        "/tmp/tmp.Xa83kQpZ1c/tmp.Ya83kQpZ1c": "/tmp/tmp.*/tmp.*",
        "/tmp/tmp.backup/run": "/tmp/tmp.backup/run",
        "/tmp/tmpab_d8k2z/a.out": "/tmp/tmp*/a.out",
        "/tmp/pytest-of-ci/pytest-113/test_it0/prog": "/tmp/pytest-of-ci/pytest-*/test_it0/prog",
        "/tmp/pip-build-env-x8k2_a9z/overlay/bin/ninja": "/tmp/pip-build-env-*/overlay/bin/ninja",
        "/src/conf28311.dir/conf28311.file": "/src/conf*.dir/conf*.file",
        "/src/conftest": "/src/conftest",
        "/etc/conf2/run": "/etc/conf2/run",
        "/src/build/CMakeFiles/CMakeScratch/TryCompile-Qm3x0Z/cmTC_0af31": (
            "/src/build/CMakeFiles/CMakeScratch/TryCompile-*/cmTC_*"
        ),
        "/src/build/meson-private/tmpk3v9_a2x/output.exe": "/src/build/meson-private/tmp*/output.exe",
        "/tmp/go-build3817263911/b001/exe/main": "/tmp/go-build*/b*/exe/main",
        "/tmp/go-build3817263911/b124/net.test": "/tmp/go-build*/b*/net.test",
        f"/root/.cache/go-build/3f/{H64}-d/main": "/root/.cache/go-build/*/*-d/main",
        f"/src/target/debug/deps/serde_json-{H16}": "/src/target/debug/deps/serde_json-*",
        f"/src/target/release/build/libc-{H16}/build-script-build": (
            "/src/target/release/build/libc-*/build-script-build"
        ),
        f"/src/target/debug/build/a-{H16}/build_script_build-{H16}": "/src/target/debug/build/a-*/build_script_build-*",
        "/tmp/cargo-installq8Zk3A/release/rg": "/tmp/cargo-install*/release/rg",
        "/tmp/rustdoctestA1b2C3/rust_out": "/tmp/rustdoctest*/rust_out",
        f"/root/.cache/bazel/_bazel_root/{H32}/sandbox/linux-sandbox/17/execroot/_main/tool": (
            "/root/.cache/bazel/_bazel_root/*/sandbox/linux-sandbox/*/execroot/_main/tool"
        ),
        f"/root/.npm/_npx/{H16}/node_modules/.bin/tsc": "/root/.npm/_npx/*/node_modules/.bin/tsc",
        f"/home/runner/work/_temp/{UUID}.sh": "/home/runner/work/_temp/*.sh",
    },
}
EVERYWHERE = ["/usr/bin/python3.11", "/usr/lib/git-core/git-remote-https", "/usr/lib/gcc/x86_64-linux-gnu/12/cc1"]


def preset(*names):
    return PathRules([rule(*texts) for name in names for texts in PRESETS[name]])


def rewritten(rules, path):
    return rules.apply(Labels(path, "", "null")).path


@pytest.mark.parametrize(
    ("name", "path", "expected"), [(name, *seen) for name, paths in SEEN.items() for seen in paths.items()]
)
def test_presets_fold_generated_names(name, path, expected):
    assert rewritten(preset(name), path) == expected
    assert rewritten(preset(*PRESETS), path) == expected
    assert rewritten(preset(*reversed(PRESETS)), path) == expected


@pytest.mark.parametrize("path", EVERYWHERE)
def test_presets_do_not_change_installed_programs(path):
    assert rewritten(preset(*PRESETS), path) == path


def test_each_expression_of_the_presets_is_needed():
    for name, texts in PRESETS.items():
        for left_out in range(len(texts)):
            rules = PathRules([rule(*one) for at, one in enumerate(texts) if at != left_out])
            assert any(rewritten(rules, path) != expected for path, expected in SEEN[name].items()), texts[left_out]


def test_rules_are_applied_in_their_order_and_to_every_match():
    rules = PathRules([rule("b", "c"), rule("c", "d")])
    assert rewritten(rules, "/bbc") == "/ddd"
    assert rewritten(PathRules([rule("c", "d"), rule("b", "c")]), "/bbc") == "/ccd"


def test_the_interpreter_is_rewritten_too_and_stdin_is_not():
    rules = PathRules([rule("[0-9]+", "N")])
    assert rules.apply(Labels("/a1", "/lib/ld-2.36.so", "file")) == ("/aN", "/lib/ld-N.N.so", "file")


def test_an_expression_matches_the_bytes_of_a_name_before_escaping():
    label = escape(b"/home/\xff\n/x \xc3\xa9\\")
    assert label == r"/home/\xff\x0a/x é\\"
    assert rewritten(PathRules([rule(r"^/home/[^/]*/", "/h/")]), label) == r"/h/x é\\"
    assert rewritten(PathRules([rule(r"^/home/.*$", "/h")]), label) == "/h"
    assert rewritten(PathRules([rule(r"\\x", "/h")]), label) == label
    assert rewritten(PathRules([rule(r"\xff", "F")]), label) == r"/home/F\x0a/x é\\"
    assert rewritten(PathRules([rule("é", "ê")]), label) == r"/home/\xff\x0a/x ê\\"


@pytest.mark.parametrize(
    "label", ["[memfd]", "[deleted]", "[disconnected]/a", "[truncated]/a", "unknown", "other", "", "bin/a"]
)
def test_labels_that_are_not_paths_do_not_change(label):
    everything = PathRules([rule("(?s).*", "/x")], include=["/nothing"], exclude=["*"])
    assert everything.apply(Labels(label, label, "tty")) == (label, label, "tty")


@pytest.mark.parametrize(
    ("include", "exclude", "unchanged"),
    [
        ([], [], ["/a/b", "/a/c/d", "/é"]),
        (["/a/*"], [], ["/a/b", "/a/c/d"]),
        (["/a/?"], [], ["/a/b"]),
        (["/[é]"], [], ["/é"]),
        ([], ["/a/*"], ["/é"]),
        (["/a/*", "/é"], ["/a/c*"], ["/a/b", "/é"]),
        (["/A/*"], [], []),
    ],
)
def test_paths_that_are_excluded_or_not_included_become_other(include, exclude, unchanged):
    rules = PathRules(include=include, exclude=exclude)
    for path in ("/a/b", "/a/c/d", "/é"):
        expected = (path, "/ld", "tty") if path in unchanged else ("other", "other", "tty")
        assert rules.apply(Labels(path, "/ld", "tty")) == expected


def test_a_glob_matches_characters_and_undecodable_bytes_before_escaping():
    rules = PathRules(include=["/a/?"])
    for name in (b"/a/\xff", b"/a/\n", b"/a/\\", "/a/é".encode()):
        assert rewritten(rules, escape(name)) == escape(name)
    assert rewritten(rules, escape(b"/a/\xff\xff")) == "other"


def test_globs_match_rewritten_paths():
    rules = PathRules([rule("^/home/[^/]+/", "/home/*/")], exclude=["/home/[*]/bin/*"])
    assert rewritten(rules, "/home/a/bin/x") == "other"
    assert rewritten(rules, "/home/a/x") == "/home/*/x"


def test_a_result_longer_than_a_path_is_discarded():
    rules = PathRules([rule("a", "a" * 1000)] * 10)
    assert len(rewritten(rules, "/aaaa")) == 1 + 4 * 1000
    assert rewritten(rules, "/aaaaa") == "/aaaaa"


@pytest.mark.parametrize("expression", ["(a+)+$", "(a|aa)+$", "(a|a?)+$", "(.*)*x$", "^(([a-z])+.)+[A-Z]([a-z])+$"])
def test_no_name_takes_an_expression_time_beyond_its_length(expression):
    """A backtracking engine would not finish on the longest name."""
    name = "/" + "a" * (MAX_BYTES - 2) + "!"
    assert re.search(r"[!]$", rewritten(PathRules([rule(expression, "b")]), name))


def test_no_name_takes_a_glob_time_beyond_its_length():
    name = "/" + "a" * (MAX_BYTES - 2)
    assert rewritten(PathRules(exclude=["*a" * 30 + "b"]), name) == name


NAMES = st.binary(min_size=1, max_size=40).filter(lambda name: b"\0" not in name).map(lambda name: b"/" + name)
EXPRESSIONS = st.sampled_from(
    [
        "",
        "^",
        "$",
        ".",
        "/",
        "^/",
        "^/.",
        ".*",
        "(.)(.)",
        "[^/]+",
        r"\\",
        r"[\x80-\xff]+",
        r"\[",
        "x?",
        "(?P<a>/)|(?P<b>.)",
    ]
)
REPLACEMENTS = st.sampled_from(
    ["", "/", "[memfd]", "unknown", "other", "[deleted]", r"\x41", "\\", "$0$0", "$$", "é", "/[memfd]", "x", "${0}[m"]
)
RULES = st.lists(st.builds(rule, EXPRESSIONS, REPLACEMENTS), max_size=4)
GLOBS = st.lists(st.sampled_from(["*", "/*", "/[!a]*", "*x", "[memfd]", "/?", "["]), max_size=2)


@given(RULES, NAMES)
def test_rules_produce_escaped_absolute_paths(rules, name):
    made = PathRules(rules).apply(Labels(escape(name), escape(name), "tty"))
    assert made.path == made.interpreter
    assert made.path.startswith("/"), "it is no marker, not unknown, not other, and not no interpreter"
    assert made.path.isprintable()
    assert escape(unescape(made.path)) == made.path
    assert len(unescape(made.path)) <= max(MAX_BYTES, len(name))


@given(RULES, GLOBS, GLOBS, NAMES, st.sampled_from(["", "bin/x", "/ld"]))
def test_a_path_is_itself_rewritten_or_other_and_never_a_marker(rules, include, exclude, name, interpreter):
    made = PathRules(rules, include, exclude).apply(Labels(escape(name), interpreter, "tty"))
    assert made == ("other", "other", "tty") or made.path.startswith("/")
    assert made.stdin_type == "tty"


@given(NAMES)
def test_without_rules_nothing_changes(name):
    labels = Labels(escape(name), escape(name), "tty")
    assert PathRules().apply(labels) is not None
    assert PathRules().apply(labels) == labels
    assert not PathRules()
