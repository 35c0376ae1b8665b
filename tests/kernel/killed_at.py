"""killed_at.py NUMBER ARGUMENTS...: runs the exporter, and kills it before that many of its changes to what is pinned.

Before it does something to a pin, a slot or the ledger, it says what on standard error. NUMBER 0: it is not killed.
"""

import os
import signal
import sys

import exporter.__main__
from exporter.kernel import blob_map, bpffs
from exporter.probe import attachments
from exporter.service import handover


def told(owner, name, what):
    """Has a function say and count each of its calls."""
    function = getattr(owner, name)

    def before(*arguments, **options):
        global remaining
        target = next((argument for argument in arguments if isinstance(argument, str)), "")
        print(f"step: {what} {target.rstrip('0123456789')}".rstrip(), file=sys.stderr, flush=True)
        remaining -= 1
        if remaining == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **options)

    setattr(owner, name, before)


remaining = int(sys.argv.pop(1))
for method in ("pin", "remove", "rename", "make_directory"):
    told(bpffs.Pins, method, method)
for method in ("put", "remove"):
    told(blob_map.BlobMap, method, f"ledger {method}")
told(attachments, "fill", "fill a slot")
told(handover, "wait_until_unused", "wait")
exporter.__main__.main()
