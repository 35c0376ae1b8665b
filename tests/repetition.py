"""Repetitions: `make test` tries one thing of each kind, EXHAUSTIVE=1 (`make test-all`) all of them."""

import os
import random

EXHAUSTIVE = os.environ.get("EXHAUSTIVE") == "1"


def repetitions(number, *, exhaustive):
    """Return the first number, or `exhaustive` for the long run."""
    return exhaustive if EXHAUSTIVE else number


def one_of_each(things, kind):
    """Return a random one of each kind, in order; all things for the long run."""
    if EXHAUSTIVE:
        return things
    kinds = {}
    for index, thing in enumerate(things):
        kinds.setdefault(kind(thing), []).append(index)
    return [things[index] for index in sorted(map(random.choice, kinds.values()))]
