"""Put what tests need onto this machine, if it is not there: python -m tests.tools [path] NAME...

NAME is a kind of test (kernel, vm, image, ports, bench, cluster), a server (promtool, prometheus,
prometheus-alertmanager, alertmanager-templates) or compiled here (crds, helm, seccomp-profile). `path` prints where a
compiled one lies.
"""

import sys

from tests.tools import debian, go


def made():
    """Return what is not installed but made: its path and the function that makes it, by name."""
    servers = {name: (debian.UNPACKED / name, lambda name=name: debian.unpack(name)) for name in debian.SERVERS}
    return {**servers, debian.TEMPLATES: (debian.UNPACKED / debian.TEMPLATES, debian.templates), **go.MADE}


def main(names):
    """Install or make what is named."""
    debian.install([name for name in names if name in debian.NEEDS])
    for name in names:
        if name in debian.NEEDS:
            continue
        path, make = made()[name]
        if not path.exists():
            print(f"making {path.name}", file=sys.stderr, flush=True)
            make()


if __name__ == "__main__":
    if sys.argv[1] == "path":
        print(made()[sys.argv[2]][0])
    else:
        main(sys.argv[1:])
