"""Novelty as configured on the command line."""

import pytest

from exporter.events.copied_up import CopiedUp
from exporter.host.capabilities import CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE
from exporter.novelty import worker
from exporter.novelty.detector import Introductions
from exporter.probe.record_queue import NOVELTY, RecordQueue
from exporter.service.novelty_setup import NoveltySetup
from exporter.service.options import parse
from tests.unit.blobs import Blobs
from tests.unit.novelty.host import DECODER, record_of


def setup_of(tmp_path, *flags):
    return NoveltySetup(parse([f"--catalogue.path={tmp_path}/catalogue.db", *flags], {}))


def shown(novelty):
    return {(s.name, *s.labels.values()): s.value for family in novelty.collect() for s in family.samples}


@pytest.mark.parametrize("flag", ["--catalogue.path=", "--no-collector.novelty", "--once"])
def test_disabled_novelty_needs_nothing_and_its_state_is_off(tmp_path, flag):
    novelty = setup_of(tmp_path, flag)
    assert (novelty.enabled, novelty.hash_key, novelty.capabilities, novelty.labels()) == (False, b"", frozenset(), {})
    assert shown(novelty)["exec_exporter_baseline_state", "off"] == 1
    novelty.close()
    assert list(tmp_path.iterdir()) == []


def test_without_hashes_no_capability_is_needed(tmp_path):
    novelty = setup_of(tmp_path)
    assert novelty.capabilities == {CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE}
    novelty.close()
    novelty = setup_of(tmp_path, "--no-content.hash")
    assert novelty.capabilities == frozenset()
    novelty.close()


def test_the_next_process_knows_learnt_programs(tmp_path, monkeypatch):
    monkeypatch.setattr(worker, "FINISH_SECONDS", 600.0)
    program = tmp_path / "program"
    program.write_bytes(b"content")
    blobs, keys = Blobs(), []
    for _ in range(2):
        novelty = setup_of(tmp_path)
        queue = RecordQueue(blobs, (NOVELTY,))
        keys.append(novelty.hash_key)
        known = novelty.labels()
        novelty.start(queue, Introductions(DECODER, known.__getitem__, set, CopiedUp(DECODER)), ())
        queue.add(record_of(program))
        novelty.close()
        assert shown(novelty)["exec_exporter_baseline_state", "learning"] == 1
        assert not blobs
    assert [labels.path for labels in known.values()] == [str(program)]
    assert keys[0] == keys[1]
    assert len(keys[0]) == 16
