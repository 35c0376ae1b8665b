"""Benchmarks of the exporter: `make bench`. Prints Markdown, and keeps it in .cache/bench.md."""

import argparse
import datetime
import os
import platform
import tempfile
from pathlib import Path

from tests.bench import kernel, scrape, service, storm

SECTIONS = {
    "kernel": kernel.per_exec,
    "growth": kernel.growth,
    "storm": storm.storm,
    "service": service.service,
    "scrape": scrape.scrape,
}
RESULT = Path(".cache/bench.md")


def machine():
    """Where and when this was measured."""
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
    when = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")
    load = os.getloadavg()[0]
    return f"Linux {platform.release()}, {os.cpu_count()} CPUs ({model}), load {load:.1f} at the start, {when}"


def main():
    """Runs the sections asked for."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few blocks of each, to see that it works")
    parser.add_argument("sections", nargs="*", metavar="section", help=f"of {', '.join(SECTIONS)} (default: all)")
    options = parser.parse_args()
    unknown = set(options.sections) - set(SECTIONS)
    if unknown:
        parser.error(f"no section {', '.join(sorted(unknown))}: there are {', '.join(SECTIONS)}")
    parts = [machine(), ""]
    print(*parts, sep="\n", flush=True)
    for name in options.sections or SECTIONS:
        with tempfile.TemporaryDirectory(prefix="exec_exporter-bench-") as directory:
            parts.append(SECTIONS[name](Path(directory), options.quick))
        print(parts[-1], flush=True)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text("\n".join(parts), "utf-8")


if __name__ == "__main__":
    main()
