"""Install programs that tests need: python -m tests.tools [path] NAME...

NAME is a kind of test (kernel, vm, image, ports, bench, cluster), a server (promtool, prometheus,
prometheus-alertmanager, alertmanager-templates) or a compiled program (crds, helm, seccomp-profile). `path` prints the
path of a compiled program.
"""

import sys

from tests.tools import debian, go


def made():
    """Return the compiled programs by name: their paths and the functions that make them."""
    servers = {name: (debian.UNPACKED / name, lambda name=name: debian.unpack(name)) for name in debian.SERVERS}
    return {**servers, debian.TEMPLATES: (debian.UNPACKED / debian.TEMPLATES, debian.templates), **go.MADE}


def main(names):
    """Install or compile what is named."""
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
