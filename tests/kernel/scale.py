"""How much tests do: EMULATED=1 in the environment says that this machine takes ten times as long for everything."""

import os

EMULATED = os.environ.get("EMULATED") == "1"


def scaled(number, emulated):
    """A number of executions, or the smaller one where they are slow. Counts are exact, and so either will do."""
    return emulated if EMULATED else number
