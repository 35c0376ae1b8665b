"""The errors that end the exporter: one line that says what is wrong and what to do."""

from __future__ import annotations

USAGE = 2
FAILED = 1


class ExporterError(Exception):
    """The exporter cannot do what it was asked. `status` is the exit status of the process."""

    def __init__(self, what: str, remedy: str, status: int = FAILED) -> None:
        super().__init__(f"{what}: {remedy}")
        self.what, self.remedy = what, remedy
        self.status = status
