import os

import pytest

from exporter.config import yaml_file
from exporter.config.reloaded_file import ReloadedFile
from exporter.config.yaml_file import YAMLFileError
from exporter.errors import ExporterError


class Numbers(ReloadedFile[list[int]]):
    """A file of numbers; a line `from NAME` includes those of another file."""

    name = "numbers.file"

    def __init__(self, path):
        self.loads, self.others = 0, ()
        super().__init__(path, [])

    def load(self, path, before):
        self.loads += 1
        lines = yaml_file.read(path).split("\n")
        others = tuple(path.parent / line[5:] for line in lines if line.startswith("from "))
        numbers = [line for line in lines if line.isdecimal()]
        for number, line in enumerate(lines, 1):
            if line == "wrong":
                raise YAMLFileError("that is no number", number, "give one")
        if before and not numbers:
            raise YAMLFileError("there were some before")
        for other in others:
            numbers += yaml_file.read(other).split()
        self.others = others
        return list(map(int, numbers))

    def named(self):
        return self.others


def test_a_file_is_loaded_again_when_it_changes_and_only_then(tmp_path):
    path = tmp_path / "numbers"
    path.write_text("1\n2\n")
    file = Numbers(path)
    assert (file.value, file.successful) == ([1, 2], True)
    assert not any(file.reload() for _ in range(3))
    path.write_text("1\n2\n3\n")
    assert file.reload()
    assert not file.reload()
    assert (file.value, file.loads) == ([1, 2, 3], 2)


@pytest.mark.parametrize("change", ["rename", "same size", "link"])
def test_every_kind_of_change_is_seen(tmp_path, change):
    path, new = tmp_path / "numbers", tmp_path / "new"
    path.write_text("1")
    new.write_text("2")
    file = Numbers(path)
    if change == "rename":
        os.utime(new, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
        new.replace(path)
    elif change == "same size":
        path.write_text("2")
        os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
    else:  # as Kubernetes changes a ConfigMap
        path.unlink()
        path.symlink_to(new)
    assert file.reload()
    assert file.value == [2]


def test_a_change_of_a_named_file_counts_and_one_that_is_named_no_more_does_not(tmp_path):
    path, other = tmp_path / "numbers", tmp_path / "other"
    path.write_text("1\nfrom other\n")
    other.write_text("5")
    file = Numbers(path)
    other.write_text("5 6")
    assert file.reload()
    assert file.value == [1, 5, 6]
    path.write_text("1\n")
    assert file.reload()
    other.unlink()
    assert not file.reload()


def test_a_change_while_the_file_is_read_is_loaded_the_next_time(tmp_path):
    path = tmp_path / "numbers"
    path.write_text("1")

    class Slow(Numbers):
        def load(self, path, before):
            found = super().load(path, before)
            if self.loads == 2:
                path.write_text("1\n2\n3\n")
            return found

    file = Slow(path)
    path.write_text("1\n2\n")
    assert file.reload()
    assert file.value == [1, 2]
    assert file.reload()
    assert file.value == [1, 2, 3]


def test_the_last_good_value_stays_and_a_failure_is_logged_once(tmp_path, caplog):
    caplog.set_level("INFO")
    path = tmp_path / "numbers"
    path.write_text("1")
    file = Numbers(path)
    path.write_text("1\nwrong\n")
    assert not any(file.reload() for _ in range(3))
    assert (file.value, file.successful) == ([1], False)
    wrong = f"reload failed, the last good version stays in force: {path}:2: that is no number: give one"
    assert [record.getMessage() for record in caplog.records] == [wrong]
    path.unlink()
    assert not file.reload()
    assert "No such file" in caplog.records[-1].getMessage()
    path.write_text("")
    assert not file.reload()
    assert "there were some before" in caplog.records[-1].getMessage()
    path.write_text("4")
    assert file.reload()
    assert (file.value, file.successful) == ([4], True)
    assert [record.getMessage() for record in caplog.records][3:] == [f"reloaded {path}"]


def test_a_file_can_be_checked_without_loading_it(tmp_path):
    path = tmp_path / "numbers"
    path.write_text("1")
    file = Numbers(path)
    assert file.refusal() is None
    path.write_text("2\nwrong")
    assert str(file.refusal()) == f"{path}:2: that is no number: give one"
    assert (file.value, file.successful) == ([1], True)
    assert Numbers(None).refusal() is None


def test_a_file_that_is_bad_at_the_start_is_refused_with_its_line(tmp_path):
    path = tmp_path / "numbers"
    with pytest.raises(ExporterError, match=f"^--numbers.file={path}: No such file or directory: correct it$") as error:
        Numbers(path)
    assert error.value.status == 2
    path.write_text("1\nwrong")
    with pytest.raises(ExporterError, match=f"^{path}:2: that is no number: give one$"):
        Numbers(path)


def test_without_a_path_the_value_is_empty_for_good():
    file = Numbers(None)
    assert (file.value, file.reload(), file.successful, file.loads) == ([], False, True, 0)
