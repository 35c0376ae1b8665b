"""Waiting for conditions, with a deadline that only a broken machine misses."""

import time

PAUSE_SECONDS = 0.05


def until(condition, seconds=240, what="a condition", not_yet=()):
    """Return the first true value of a condition, which is polled; raise AssertionError after the deadline.

    `what` names the condition, or is a function that does; exceptions of the types `not_yet` count as false.
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
