import pytest

from exporter.kernel.bpf_map import Map, possible_cpus


@pytest.mark.parametrize(("text", "cpus"), [("0", 1), ("0-1", 2), ("0-127", 128), ("0-3,8-11", 12), ("0,2", 3)])
def test_cpu_numbers_may_be_left_out(tmp_path, text, cpus):
    (tmp_path / "possible").write_text(f"{text}\n")
    assert possible_cpus(tmp_path / "possible") == cpus


def test_a_key_that_is_too_long_is_an_error_before_the_kernel_sees_it():
    with pytest.raises(ValueError, match="5 bytes, where the map has 4"):
        Map(-1, 4, 8, 1).get(bytes(5))
