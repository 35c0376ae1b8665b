"""paused_command.py ARGUMENTS...: imports the exporter, prints its pid and runs it once it gets a line."""

import os
import sys

import exporter.__main__

print(os.getpid(), flush=True)
sys.stdin.readline()
exporter.__main__.main()
