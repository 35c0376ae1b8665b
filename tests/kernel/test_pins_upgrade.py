"""Pins of the previous version are taken over with all counts, even if the process is killed on the way.

The test makes them from pins of this version: the checkpoint was called `ledger`, the map of exits `lives`, its struct
`life`, and descriptions had no format.
"""

import json
import os
import zlib

import pytest

from exporter.kernel.blob_map import BlobMap
from exporter.kernel.bpf_map import ARRAY, Map
from exporter.kernel.bpffs import Pins
from exporter.metrics.checkpoint import Checkpoint
from tests.kernel.pinned import bpffs, pinning, samples
from tests.kernel.programs import execute, static_elf
from tests.kernel.test_pins_crash import different, killed, steps_of
from tests.repetition import one_of_each

pytestmark = [pytest.mark.native, pytest.mark.timeout(900)]
PRIME = 13
COUNTS = "exec_executions_total", "exec_exits_total", "exec_lifetime_seconds_count"


@pytest.fixture
def pins(tmp_path):
    with bpffs(tmp_path / "bpf") as directory:
        yield directory / "exec_exporter"


def age(path):
    """Convert pins back to the previous format; the checkpoint is renamed last, so no start finds half of it."""
    pins = Pins(path)
    (number,) = pins.generations()
    checkpoint = Checkpoint(BlobMap(Map.of(pins.get("checkpoint"))))
    tables = checkpoint.load()
    checkpoint.close()
    ledger = BlobMap.create("ledger", BlobMap(Map.of(pins.get("checkpoint"))).map.max_entries)
    pins.pin("ledger-new", ledger.map.fd)
    checkpoint = Checkpoint(ledger)
    tables["processes"]["map"] = {"lives": tables["processes"]["map"]["exits"]}
    parts = {part: {name: [*rows.items()] for name, rows in saved.items()} for part, saved in tables.items()}
    assert checkpoint.save(lambda _: parts)
    checkpoint.close()
    new = Map.of(pins.get(f"{number}/description"))
    description = json.loads(zlib.decompress(new.at(0)[0]))
    del description["format"]
    info, key, (struct, *members) = description["maps"].pop("exits")
    assert struct == "exit_stats"
    description["maps"]["lives"] = [info, key, ["life", *members]]
    description["numbers"] = {k: {"exits": "lives"}.get(name, name) for k, name in description["numbers"].items()}
    text = zlib.compress(json.dumps({**description, "digest": "of another version"}).encode())
    old = Map.create(ARRAY, 4, len(text), 1, name="description")
    old.set(0, text)
    pins.remove(f"{number}/description")
    pins.pin(f"{number}/description", old.fd)
    pins.rename(f"{number}/map_exits", f"{number}/map_lives")
    pins.remove("checkpoint")
    pins.rename("ledger-new", "ledger")
    for descriptor in (new.fd, old.fd):
        os.close(descriptor)
    pins.close()


def counts(service, directory):
    return sorted(
        (sample.name, *sample.labels.values(), sample.value)
        for sample in samples(service, directory)
        if sample.name in COUNTS and sample.value
    )


def test_pins_of_the_previous_version_are_taken_over_with_all_counts(pins, tmp_path):
    program = static_elf(tmp_path / "static")
    with pinning(pins):
        execute(program, PRIME)
    execute(program, PRIME)
    age(pins)
    with pinning(pins) as service:
        execute(program, PRIME)
        shown = counts(service, tmp_path)
        assert "took over" in service.said
    total = 3 * PRIME
    assert {value for *_, value in shown} == {total}
    assert {name for name, *_ in shown} == set(COUNTS)
    assert not (pins / "ledger").exists()
    with pinning(pins) as service:
        assert counts(service, tmp_path) == shown


def kind_of(step):
    """Return the part of the conversion that a step belongs to: the short run interrupts each once."""
    return next((part for part in ("checkpoint", "description", "rename") if part in step), "done")


def test_killed_before_each_step_of_the_conversion_the_next_start_is_right(pins, tmp_path):
    program, total = static_elf(tmp_path / "static"), 0
    with pinning(pins):
        pass
    age(pins)
    steps = steps_of(pins)
    last = steps.index("rename ledger") + 1
    assert {"checkpoint put", "pin description-new", "rename description-new", "rename map_lives"} <= {
        step.replace("1/", "") for step in steps[:last]
    }
    conversion = [number for number in different(steps) if number <= last + 1]
    for number in one_of_each(conversion, lambda number: kind_of(steps[number - 1])):
        execute(program, PRIME)
        age(pins)
        killed(pins, number=number)
        execute(program, PRIME)
        total += 2 * PRIME
        with pinning(pins) as service:
            assert {value for *_, value in counts(service, tmp_path)} == {total}, steps[number - 1]
