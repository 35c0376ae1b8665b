import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.compiler.btf import ARRAY, BTF, PTR, STRUCT, BTFError
from tests.unit.btf_builder import Builder, example


def in_a_file(directory, data, base=None):
    path = directory / "btf"
    path.write_bytes(data)
    return BTF(path, base)


@pytest.fixture
def btf(tmp_path):
    return in_a_file(tmp_path, example().data())


@pytest.mark.parametrize(
    ("struct_name", "member", "offset"),
    [
        ("inner", "x", 0),
        ("inner", "y", 8),
        ("outer", "a", 0),
        ("outer", "p", 8),
        ("outer", "n", 8),
        ("outer", "tail", 40),
    ],
)
def test_a_member_is_found_at_its_offset_also_inside_anonymous_members(btf, struct_name, member, offset):
    assert btf.member(struct_name, member).offset == offset


def test_a_bit_field_is_found_by_its_byte_and_its_bits_there(btf):
    found = btf.member("outer", "bits")
    assert (found.offset, found.mask) == (32, 0b111)
    assert btf.member("outer", "a").mask == 0


@pytest.mark.parametrize(("struct_name", "member"), [("outer", "missing"), ("nothing", "x"), ("outer", "over")])
def test_absent_members_and_bit_fields_over_two_bytes_are_none(btf, struct_name, member):
    assert btf.member(struct_name, member) is None


def test_functions_are_found_by_name_and_are_not_structs(btf):
    functions = btf.functions(["call", "inner", "missing", "outer"])
    assert functions.keys() == {"call", "inner"}
    assert functions["call"] == functions["inner"] + 1
    assert functions["inner"] != btf.find("inner")


def test_types_are_seen_through_their_qualifiers(btf):
    array = btf.resolve(btf.member("outer", "n").type_id)
    pointer = btf.resolve(btf.member("outer", "p").type_id)
    tail = btf.resolve(btf.member("outer", "tail").type_id)
    assert (array.kind, array.size, array.count) == (ARRAY, 24, 3)
    assert (pointer.kind, btf.resolve(pointer.element).name) == (PTR, "inner")
    assert (tail.kind, tail.name, tail.size) == (STRUCT, "inner", 16)


def test_a_modules_types_continue_the_kernels(tmp_path, btf):
    kernel = example()
    module = Builder(first_id=kernel.next_id, first_string=len(kernel.strings))
    module.aggregate(STRUCT, "of_module", 24, [("mine", btf.find("inner"), 64)])
    both = in_a_file(tmp_path, module.data(), btf)
    assert both.member("of_module", "mine").offset == 8
    assert both.resolve(both.member("of_module", "mine").type_id).name == "inner"
    assert both.member("inner", "y").offset == 8


@pytest.mark.parametrize("data", [b"", b"\x9f\xeb", b"not BTF at all, but long enough to have a header"])
def test_other_data_than_btf_are_an_error(tmp_path, data):
    with pytest.raises(BTFError, match="not BTF"):
        in_a_file(tmp_path, data)


def test_a_file_that_is_missing_is_another_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        BTF(tmp_path / "missing")


@given(st.data())
@settings(max_examples=1000)
def test_damaged_btf_never_does_worse_than_an_error(tmp_path_factory, data):
    good = bytearray(example().data())
    for _ in range(data.draw(st.integers(1, 8))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    try:
        length = data.draw(st.integers(0, len(good)))
        btf = in_a_file(tmp_path_factory.getbasetemp(), good[:length])
        for struct_name in ("inner", "outer"):
            for member in ("x", "tail", "p", "missing"):
                found = btf.member(struct_name, member)
                if found:
                    btf.resolve(found.type_id)
    except BTFError:
        return
