"""Benchmarks of the exporter: `make bench`. Prints Markdown.

The results of each section are kept in .cache/bench-results/, so that a single section can be repeated; .cache/bench.md
has all of them.
"""

import argparse
import datetime
import os
import platform
import tempfile
from pathlib import Path

from tests.alone import alone
from tests.bench import churn, kernel, scrape, service, storm

SECTIONS = {
    "kernel": kernel.per_exec,
    "growth": kernel.growth,
    "slowdown": storm.slowdown,
    "collectors": storm.collectors,
    "storm": storm.storm,
    "exact": service.exact,
    "service": service.service,
    "scrape": scrape.scrape,
    "churn": churn.churn,
}
RESULTS, ALL = Path(".cache/bench-results"), Path(".cache/bench.md")


def machine():
    """Return the place and time of the measurement."""
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
    when = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")
    load = os.getloadavg()[0]
    return f"Linux {platform.release()}, {os.cpu_count()} CPUs ({model}), load {load:.1f} at the start, {when}"


def main():
    """Run the selected sections."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few blocks of each, to see that it works")
    parser.add_argument("sections", nargs="*", metavar="section", help=f"of {', '.join(SECTIONS)} (default: all)")
    options = parser.parse_args()
    unknown = set(options.sections) - set(SECTIONS)
    if unknown:
        parser.error(f"no section {', '.join(sorted(unknown))}: there are {', '.join(SECTIONS)}")
    alone()
    RESULTS.mkdir(parents=True, exist_ok=True)
    for name in options.sections or SECTIONS:
        where = machine()
        with tempfile.TemporaryDirectory(prefix="exec_exporter-bench-") as directory:
            result = f"{SECTIONS[name](Path(directory), options.quick)}\n{where}\n"
        print(result, flush=True)
        (RESULTS / f"{name}.md").write_text(result, "utf-8")
    kept = [RESULTS / f"{name}.md" for name in SECTIONS]
    ALL.write_text("\n".join(path.read_text("utf-8") for path in kept if path.exists()), "utf-8")


if __name__ == "__main__":
    main()
