"""Digests of many files in little memory, and the owner of a file among several databases."""

from hypothesis import given
from hypothesis import strategies as st

from exporter.host.dpkg import Dpkg
from exporter.host.packages import PART, Digests, Index, Packages
from exporter.host.rpm import Rpm


def test_no_database(tmp_path):
    assert Packages([Dpkg(tmp_path), Rpm(tmp_path)]).owner(b"/usr/bin/ls") is None


@given(st.dictionaries(st.binary(max_size=20), st.tuples(st.binary(min_size=16, max_size=16), st.integers(0, 1 << 31))))
def test_digests_are_found_and_no_others(files):
    digests = Digests((path, *row) for path, row in files.items())
    assert {path: digests.find(path) for path in files} == files
    assert len(digests) == len(files)
    assert digests.find(b"x" * 21) is None


PATHS = st.lists(st.binary(max_size=2), unique=True, max_size=20)


@given(st.lists(PATHS, max_size=20))
def test_an_index_finds_the_first_part_with_a_path(parts):
    index = Index([Digests((path, bytes([number]) * 16, 0) for path in paths) for number, paths in enumerate(parts)])
    first = {path: number for number, paths in reversed(list(enumerate(parts))) for path in paths}
    assert {path: index.find(path) for path in first} == {path: (n, bytes([n]) * 16) for path, n in first.items()}
    assert index.find(b"xyz") is None


def test_an_index_tells_paths_apart_whose_hashes_it_does_not():
    class Hashed(bytes):
        def __hash__(self):
            return self[0]  # all within PART

    one, other, none = Hashed(b"\1"), Hashed(b"\2"), Hashed(b"\3")
    assert {hash(each) | PART for each in (one, other, none)} == {PART}
    index = Index([Digests([(one, b"1" * 16, 0)]), Digests([(other, b"2" * 16, 0)])])
    assert [index.find(each) for each in (one, other, none)] == [(0, b"1" * 16), (1, b"2" * 16), None]
