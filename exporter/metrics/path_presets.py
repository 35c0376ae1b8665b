"""Predefined path rules, by name. They replace names that are unique to a build or container with a star.

The results are valid globs, so `exec_exporter trace --path` accepts them.
"""

from __future__ import annotations

from collections.abc import Mapping

HEX = "[0-9a-f]"
UUID = rf"\b{HEX}{{8}}-{HEX}{{4}}-{HEX}{{4}}-{HEX}{{4}}-{HEX}{{12}}\b"
LAYER = rf"(?:{HEX}{{64}}|[0-9a-z]{{25}})(?:-init)?"

PRESETS: Mapping[str, tuple[tuple[str, str], ...]] = {
    # Nix and Guix: a hash of the build inputs, in an alphabet without e, o, u and t.
    "nix": ((r"/(nix|gnu)/store/[0-9a-df-np-sv-z]{32}-", "/$1/store/"),),
    # Containers as seen from the host: layers, snapshots, root file systems, volumes of pods.
    "containers": (
        (rf"/(overlay|overlay2|overlayfs)/{LAYER}/", "/$1/*/"),
        (r"/(io\.containerd\.snapshotter\.v1\.[0-9a-z]+/snapshots)/[0-9]+/", "/$1/*/"),
        (r"/(io\.containerd\.runtime\.v[0-9]\.[a-z]+/[^/]+)/[^/]+/rootfs/", "/$1/*/rootfs/"),
        (rf"/pods/(?:{UUID}|{HEX}{{32}})/", "/pods/*/"),
    ),
    # Directories and programs created by builds and tests.
    "build": (
        (r"/tmp\.[0-9A-Za-z]{10}\b", "/tmp.*"),  # noqa: S108 - mktemp
        (r"/tmp/tmp[0-9a-z_]{8}\b", "/tmp/tmp*"),  # noqa: S108 - Python's tempfile
        (r"/pytest-[0-9]+/", "/pytest-*/"),
        (r"/(pip-[a-z-]+)-[0-9a-z_]{8}\b", "/$1-*"),
        (r"/conf(?:test)?[0-9]{3,}(\.[a-z]+)?\b", "/conf*$1"),  # autoconf
        (r"/TryCompile-[0-9A-Za-z]{6}\b", "/TryCompile-*"),  # CMake
        (r"/cmTC_[0-9a-f]{5}\b", "/cmTC_*"),
        (r"/meson-private/tmp[0-9a-z_]{8}\b", "/meson-private/tmp*"),
        (r"/go-build[0-9]+\b", "/go-build*"),
        (r"/go-build\*/b[0-9]{3,}\b", "/go-build*/b*"),
        (rf"/go-build/{HEX}{{2}}/{HEX}{{64}}-d\b", "/go-build/*/*-d"),  # go run, from its cache
        (rf"/([^/]+)-{HEX}{{16}}\b", "/$1-*"),  # cargo: target/debug/deps/name-0123456789abcdef
        (r"/(cargo-install|rustc|rustdoctest)[0-9A-Za-z]{6}\b", "/$1*"),
        (rf"/(_bazel_[^/]+)/{HEX}{{32}}/", "/$1/*/"),
        (r"/([a-z]+-sandbox)/[0-9]+/", "/$1/*/"),
        (rf"/_npx/{HEX}{{16}}/", "/_npx/*/"),
        (UUID, "*"),  # steps of CI runners
    ),
}
