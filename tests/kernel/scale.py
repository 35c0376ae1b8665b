"""Sizes of tests: EMULATED=1 in the environment is for machines that take ten times as long for everything."""

import os

EMULATED = os.environ.get("EMULATED") == "1"


def scaled(number, emulated):
    """Return a number of executions, or a smaller one in an emulator. Counts are exact; either number will do."""
    return emulated if EMULATED else number
