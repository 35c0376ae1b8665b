"""Errors that end the exporter with one line: what is wrong and what to do."""

from __future__ import annotations

USAGE = 2
FAILED = 1


class ExporterError(Exception):
    """An error for the user: `what` is wrong, the `remedy`, and the exit `status` of the process."""

    def __init__(self, what: str, remedy: str, status: int = FAILED) -> None:
        super().__init__(f"{what}: {remedy}")
        self.what, self.remedy = what, remedy
        self.status = status
