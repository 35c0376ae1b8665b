"""Compiled probes that tests share: only the first start with the same settings needs the compiler."""

import os
import tempfile
from pathlib import Path

VARIABLE = "EXEC_EXPORTER_BPF_CACHE_PATH"
_CACHE = Path(__file__).parents[1] / ".cache"
# A guest has the checkout read-only.
DIRECTORY = str((_CACHE if os.access(_CACHE, os.W_OK) else Path(tempfile.gettempdir())) / "exec_exporter-compiled")


def share():
    """Let exporters that tests start share compiled probes, unless a test chooses another directory."""
    os.environ[VARIABLE] = DIRECTORY
