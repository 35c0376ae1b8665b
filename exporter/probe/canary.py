"""An execve that fails on purpose, to test if a hook fires."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from exporter.kernel.symbols import HookError

# No binfmt handler accepts it, and as it is printable the kernel does not try to load a module for it.
CANARY = b"canary of exec_exporter\n"


def canary() -> None:
    """Start an exec that fails for its format, after the hook. Raise HookError if it cannot be started."""
    with contextlib.ExitStack() as stack:
        for make in (_in_memory, _in_a_file):
            try:
                path = make(stack)
                pid = os.posix_spawn(path, ["canary"], {})
            except OSError as error:
                if error.errno == 8:  # ENOEXEC
                    return
                why = error.strerror
                continue
            os.waitpid(pid, 0)
            return
    raise HookError(f"nothing can be executed here ({why})")


def _in_memory(stack: contextlib.ExitStack) -> str:
    # 6.3: 105ff5339f49 ("mm/memfd: add MFD_NOEXEC_SEAL and MFD_EXEC"): an older kernel refuses the flag
    for flags in (0x10, 0):
        with contextlib.suppress(OSError):
            descriptor = os.memfd_create("canary", flags)
            break
    else:
        raise PermissionError
    stack.callback(os.close, descriptor)
    os.write(descriptor, CANARY)
    return f"/proc/self/fd/{descriptor}"


def _in_a_file(stack: contextlib.ExitStack) -> str:
    path = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="exec_exporter-"))) / "canary"
    path.write_bytes(CANARY)
    path.chmod(0o700)
    return str(path)
