"""Wires the parts of the exporter together, and nothing else."""

from __future__ import annotations

import logging
import sys

from exporter.commands import catalogue, findings
from exporter.commands.trace import trace
from exporter.commands.unpin import unpin
from exporter.errors import FAILED, ExporterError
from exporter.host import capabilities as privilege
from exporter.logs import set_up_logging
from exporter.service.check import check, config_check
from exporter.service.options import parse
from exporter.service.serve import serve

log = logging.getLogger("exec_exporter")

COMMANDS = {
    "trace": trace,
    "unpin": unpin,
    "findings": findings.findings,
    "catalogue": catalogue.catalogue,
}


def main() -> None:
    """The command `exec_exporter`."""
    try:
        privilege.put_into_effect()
        command = COMMANDS.get(sys.argv[1]) if len(sys.argv) > 1 else None
        if command:
            command(sys.argv[2:])
            return
        options = parse(sys.argv[1:])
        set_up_logging(options.log.level, options.log.format)
        (config_check if options.config_check else check if options.check else serve)(options)
    except ExporterError as refusal:
        sys.exit(_say(f"exec_exporter: {refusal}", refusal.status))
    except KeyboardInterrupt:
        sys.exit(0)
    except Exception as error:
        log.debug("", exc_info=True)
        sys.exit(_say(f"exec_exporter: {type(error).__name__}: {error}: this is a bug, please report it", FAILED))


def _say(line: str, status: int) -> int:
    print(line, file=sys.stderr)
    return status


if __name__ == "__main__":
    main()
