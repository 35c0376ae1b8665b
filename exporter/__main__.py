"""The command `exec_exporter`: from its arguments to a subcommand or the service."""

from __future__ import annotations

import logging
import re
import sys

from exporter.commands import catalogue, findings, trace, unpin
from exporter.errors import FAILED, ExporterError, attempt, remedy_of
from exporter.host import capabilities
from exporter.logs import log_uncaught, set_up_logging
from exporter.service.check import check, config_check
from exporter.service.options import parse
from exporter.service.serve import serve
from exporter.streams import standard_streams

log = logging.getLogger("exec_exporter")

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")  # in names of files: an error is one line
COMMANDS = {"trace": trace.run, "unpin": unpin.run, "findings": findings.run, "catalogue": catalogue.run}


def run(arguments: list[str]) -> None:
    """Run a subcommand, or the service. Raise ExporterError."""
    log_uncaught()
    with attempt("use the capabilities of this process"):
        capabilities.put_into_effect()
    command = COMMANDS.get(arguments[0]) if arguments else None
    if command:
        command(arguments[1:])
        return
    options = parse(arguments)
    set_up_logging(options.service.log_level, options.service.log_format)
    (config_check if options.service.config_check else check if options.service.check else serve)(options)


def main() -> None:
    """Run and exit: an error is one line on standard error and the exit status."""
    try:
        with standard_streams(), attempt("run"):
            run(sys.argv[1:])
    except ExporterError as error:
        _exit(str(error), error.status)
    except KeyboardInterrupt:
        sys.exit(0)
    except Exception as error:
        log.debug("", exc_info=True)
        _exit(f"{type(error).__name__}: {error}: {remedy_of(error, 'this is a bug, please report it')}", FAILED)


def _exit(line: str, status: int) -> None:
    print("exec_exporter:", CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", line), file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    main()
