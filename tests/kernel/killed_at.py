"""killed_at.py NUMBER ARGUMENTS...: run the exporter, and kill it before the step of that number; never if it is 0.

Steps are changes of pins, slots and the checkpoint. Each is printed to standard error before it is done.
"""

import os
import signal
import sys

import exporter.__main__
from exporter.kernel import blob_map, bpffs
from exporter.probe import attachments
from exporter.service import handover


def count_steps(owner, name, step):
    """Print and count each call of a function."""
    function = getattr(owner, name)

    def before(*arguments, **options):
        global remaining
        target = next((argument for argument in arguments if isinstance(argument, str)), "")
        print(f"step: {step} {target.rstrip('0123456789')}".rstrip(), file=sys.stderr, flush=True)
        remaining -= 1
        if remaining == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **options)

    setattr(owner, name, before)


remaining = int(sys.argv.pop(1))
for method in ("pin", "remove", "rename", "make_directory"):
    count_steps(bpffs.Pins, method, method)
for method in ("put", "remove"):
    count_steps(blob_map.BlobMap, method, f"checkpoint {method}")
count_steps(attachments, "fill", "fill a slot")
count_steps(handover, "wait_until_unused", "wait")
exporter.__main__.main()
