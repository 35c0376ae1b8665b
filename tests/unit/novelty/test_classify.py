"""Classification, the pure part of novelty: from observed and known facts to a reason."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.catalogue.catalogue import Known
from exporter.catalogue.finding import NEVER_LEARNT, QUIET, Reason
from exporter.novelty.classify import Seen, classify

seen = st.builds(Seen, *[st.booleans()] * 8)
known = st.builds(Known, *[st.booleans()] * 5)
NOTHING = Known()


@pytest.mark.parametrize(
    ("what", "before", "reason"),
    [
        (Seen(), NOTHING, Reason.NEW_PATH),
        (Seen(script=True), NOTHING, Reason.SCRIPT),
        (Seen(upper_layer=True), NOTHING, Reason.UPPER_LAYER),
        (Seen(upper_layer=True, script=True), NOTHING, Reason.UPPER_LAYER),
        (Seen(), Known(path=True), Reason.CONTENT_CHANGED),
        (Seen(script=True), Known(path=True), Reason.CONTENT_CHANGED),
        (Seen(upper_layer=True), Known(path=True), Reason.CONTENT_CHANGED),
        (Seen(), Known(path=True, content=True), Reason.CONTENT_CHANGED),
        (Seen(), Known(content=True), Reason.RELOCATED),
        (Seen(script=True), Known(content=True), Reason.RELOCATED),
        (Seen(), Known(content=True, same_file=True), Reason.METADATA_ONLY),
        (Seen(), Known(program=True, path=True, content=True), None),
        (Seen(), Known(program=True, executed=True, path=True, content=True), Reason.REINSTALLED),
        (Seen(), Known(program=True, executed=True, path=True, content=True, same_file=True), Reason.METADATA_ONLY),
        (Seen(vouched=True), Known(path=True), Reason.REINSTALLED),
        (Seen(vouched=True), NOTHING, Reason.NEW_PATH),
        (Seen(vouched=True, installed=True), NOTHING, None),
        (Seen(vouched=True, installed=True), Known(path=True), Reason.REINSTALLED),
        (Seen(installed=True), NOTHING, Reason.NEW_PATH),
        (Seen(installed=True), Known(path=True), Reason.CONTENT_CHANGED),
        (Seen(vouched=True, installed=True, memfd=True), NOTHING, Reason.MEMFD),
        (Seen(maintainer_script=True, script=True), NOTHING, Reason.REINSTALLED),
        (Seen(gone=True), NOTHING, Reason.DELETED),
        (Seen(gone=True), Known(content=True, revision=True), Reason.DELETED),
        (Seen(), Known(content=True, revision=True), Reason.REINSTALLED),
        (Seen(), Known(content=True, revision=True, path=True), Reason.CONTENT_CHANGED),
        (Seen(upper_layer=True), Known(content=True, revision=True), Reason.RELOCATED),
        (Seen(memfd=True), NOTHING, Reason.MEMFD),
        (Seen(memfd=True, deleted=True), NOTHING, Reason.MEMFD),
        (Seen(memfd=True), Known(program=True, executed=True), None),
        (Seen(deleted=True), NOTHING, Reason.DELETED),
        (Seen(deleted=True), Known(content=True, same_file=True), Reason.DELETED),
        (Seen(deleted=True), Known(program=True), None),
    ],
)
def test_each_reason(what, before, reason):
    assert classify(what, before) == reason


@given(seen, known)
def test_a_known_program_is_never_a_finding(what, before):
    reason = classify(what, replace(before, program=True))
    assert reason is None or reason in QUIET


@given(seen, known)
def test_a_file_in_memory_or_without_a_name_is_never_quiet_unless_its_program_is_known(what, before):
    for trait in ("memfd", "deleted"):
        assert classify(replace(what, **{trait: True}), replace(before, program=False)) in NEVER_LEARNT


@given(seen)
def test_nothing_that_is_unknown_in_every_way_is_quiet_but_for_packages(what):
    reason = classify(replace(what, maintainer_script=False, installed=False), NOTHING)
    assert reason is not None
    assert reason not in QUIET


@given(seen, known)
def test_changed_content_at_a_known_path_is_never_quiet_unless_a_package_vouches_for_it(what, before):
    """The exception is content that this very file had already: then the path is another name of it."""
    what = replace(what, vouched=False, maintainer_script=False)
    assert classify(what, replace(before, program=False, path=True, same_file=False)) not in QUIET


@given(seen, known)
def test_quiet_reasons_need_known_facts(what, before):
    """Records of a package count only for known paths, or for its own scripts."""
    if classify(what, before) in QUIET:
        known = before.program or before.same_file or before.revision
        assert known or what.maintainer_script or (what.vouched and before.path)
