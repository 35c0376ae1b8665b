import re

import pytest

from exporter.compiler.btf import BTF
from exporter.compiler.kernel_types import Feature, Members, kernel_types
from exporter.probe.features import FEATURES
from tests.unit.btf_builder import example


@pytest.fixture
def btf(tmp_path):
    (tmp_path / "vmlinux").write_bytes(example().data())
    return BTF(tmp_path / "vmlinux")


def test_members_are_declared_at_their_offsets(btf):
    feature = Feature("f", "", (Members(("outer.p", "outer.n", "outer.tail", "inner.y")),))
    header = kernel_types(btf, [feature]).header
    assert "struct { u8 _at_p[8]; struct inner *p; };" in header
    assert "struct { u8 _at_n[8]; u64 n[3]; };" in header
    assert "struct { u8 _at_tail[40]; struct inner tail; };" in header
    assert '_Static_assert(__builtin_offsetof(struct inner, y) == 8, "inner");' in header


def test_an_embedded_struct_is_declared_before_the_one_it_is_in(btf):
    header = kernel_types(btf, [Feature("f", "", (Members(("outer.tail", "inner.x")),))]).header
    assert header.index("struct inner {") < header.index("struct outer {")


def test_the_first_layout_that_exists_is_taken(btf):
    newest, older = Members(("outer.renamed",), "NEWEST"), Members(("outer.a",), "OLDER")
    types = kernel_types(btf, [Feature("f", "", (newest, older))])
    assert "#define HAVE_F 1\n#define OLDER 1\n" in types.header
    assert "NEWEST" not in types.header
    assert types.missing == ()


def test_a_feature_with_no_layout_is_missing_and_declares_nothing(btf):
    feature = Feature("f", "it is dark", (Members(("outer.a", "outer.gone")),))
    types = kernel_types(btf, [feature])
    assert types.missing == (feature,)
    assert "HAVE_F" not in types.header
    assert "struct outer" not in types.header


def test_every_member_of_the_table_is_named_as_struct_and_member():
    for feature in FEATURES:
        for layout in feature.layouts:
            assert layout.members
            assert all(re.fullmatch(r"[a-z_0-9]+\.[a-z_0-9]+", member) for member in layout.members), feature.name
