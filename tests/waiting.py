"""Waiting for what comes by itself, with a deadline that only a machine in trouble misses."""

import time

PAUSE_SECONDS = 0.05


def until(condition, seconds=240, what="a condition", not_yet=()):
    """Return the first true value of a condition, which is asked again and again; raise AssertionError if none comes.

    `what` names what is awaited, or is called for it; errors of the types `not_yet` mean no.
    """
    end, last = time.monotonic() + seconds, ""
    while True:
        try:
            if found := condition():
                return found
        except not_yet as error:
            last = f": {error}"
        if time.monotonic() >= end:
            raise AssertionError(f"{what() if callable(what) else what}: not within {seconds} s{last}")
        time.sleep(PAUSE_SECONDS)
