"""The contents of the image."""

import os
import stat
import subprocess
from pathlib import Path

from exporter import __version__

COMPILERS = ("as", "c++", "cc", "clang", "g++", "gcc", "go", "ld", "llc", "make", "opt", "pip", "pip3", "tcc")
CAPABILITIES = "cap_dac_read_search,cap_sys_ptrace,cap_perfmon,cap_bpf=p"
INTERPRETER = "opt/exec_exporter/bin/python"


def test_how_it_starts(image):
    config = image.config
    assert config["User"] == "65534:65534"
    assert config["Entrypoint"] == ["/opt/exec_exporter/bin/exec_exporter"]
    assert not config.get("Cmd")
    assert list(config["ExposedPorts"]) == ["10042/tcp"]
    first = (image.root / config["Entrypoint"][0].lstrip("/")).read_text().partition("\n")[0]
    assert first.startswith("#!/opt/exec_exporter/bin/python")  # no shell, which would drop the capabilities


def test_labels(image):
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in image.config["Labels"].items()}
    assert labels["version"] == __version__
    assert labels["title"] == "exec_exporter"
    assert labels["licenses"] == "Apache-2.0"
    assert labels["description"]


def test_one_file_has_capabilities(image):
    said = subprocess.run(["getcap", "-r", image.root], capture_output=True, text=True, check=True).stdout
    assert said.splitlines() == [f"{image.root / INTERPRETER} {CAPABILITIES}"]


def test_no_file_makes_another_user_of_anybody(image):
    for file in _files(image.root):
        mode = file.lstat().st_mode
        assert not (stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID)), file


def test_nobody_but_root_owns_or_may_change_the_program(image):
    for file in _files(image.root / "opt"):
        status = file.lstat()
        assert status.st_uid == 0, file
        assert file.is_symlink() or not status.st_mode & 0o022, file


def test_no_compiler_but_the_one_in_bcc(image):
    names = {file.name for directory in ("usr/bin", "usr/local/bin", "opt/exec_exporter/bin")
             for file in (image.root / directory).iterdir()}  # fmt: skip
    assert not names & set(COMPILERS)
    assert not [name for name in names if name.startswith(("gcc-", "clang-", "llvm-", "pip"))]


def _files(directory):
    for parent, directories, names in os.walk(directory):
        yield from (Path(parent) / name for name in (*names, *directories))
