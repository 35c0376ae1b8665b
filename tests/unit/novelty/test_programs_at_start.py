"""Programs that run when the exporter starts."""

import hashlib
import os
import sys
from pathlib import Path

from exporter.host.packages import Packages
from exporter.novelty.file_content import Reader
from exporter.novelty.hashing import Hasher
from exporter.novelty.programs_at_start import programs_at_start


def test_running_programs_are_found_with_their_elf_interpreters():
    found = {executed.path: executed for executed in programs_at_start()}
    program = os.path.realpath(sys.executable)
    assert found[program].runs
    assert any("ld" in path and not executed.runs for path, executed in found.items())
    content = Reader("/", Hasher(), Packages()).look(found[program], lambda _: False)
    assert content.digest == hashlib.sha256(Path(program).read_bytes()).digest()
