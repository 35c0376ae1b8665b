"""Compiled programs in the files of a directory, so that later starts on the same kernel need no compiler.

A file is used only if it is whole and was made from the same sources, with the same settings, for the same kernel. Its
content runs in the kernel: it and the directory must belong to root or to this user, and nobody else may write to them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import platform
import stat
import zlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from exporter.compiler.compile import Compiled, compile_source
from exporter.compiler.description import compiled_from, describe
from exporter.compiler.kernel_facts import BTF_DIRECTORY, KernelNeeds
from exporter.compiler.kernel_types import Feature
from exporter.errors import reason

log = logging.getLogger(__name__)

FILES = 32  # the oldest are removed
FILE_BYTES = 1 << 20  # compressed; a program has some 15 KiB
JSON_BYTES = 16 << 20
SUFFIX = ".probe"
FORBIDDEN = stat.S_IWGRP | stat.S_IWOTH


class UnsafeError(Exception):
    """Others may have written what would be run in the kernel."""


class CompiledCache:
    """Compiled programs by the digest of what they were made from; none if `path` is empty.

    What cannot be read or written is logged, and compiled. Processes may share the directory.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def compile_source(
        self, source: Path, definitions: Mapping[str, object], needs: KernelNeeds, *, typed: bool
    ) -> Compiled:
        """Return the stored program; if there is none, compile it and store it. Raise ExporterError."""
        digest = _digest(source, definitions, needs, typed=typed) if self._path else ""
        stored = self._get(digest, needs.features) if digest else None
        if stored:
            return stored
        compiled = compile_source(source, definitions, needs, typed=typed)
        if digest:
            self._put(digest, compiled)
        return compiled

    def _get(self, digest: str, features: Collection[Feature]) -> Compiled | None:
        """Return the program with a digest; None if it is not stored, damaged, or others may have written it."""
        where = f"{self._path}/{digest}{SUFFIX}"
        try:
            with self._directory() as directory:
                content = _read(f"{digest}{SUFFIX}", directory)
            return _compiled(content, digest, features)
        except FileNotFoundError:
            return None
        except (OSError, UnsafeError) as error:
            log.warning("%s is not used (%s): compiling", where, reason(error))
        except (ValueError, KeyError, TypeError, AttributeError, zlib.error, RecursionError):
            log.warning("%s is damaged: compiling", where)
        return None

    def _put(self, digest: str, compiled: Compiled) -> None:
        """Store a program, and remove the oldest ones if there are too many."""
        try:
            with contextlib.suppress(FileExistsError):
                Path(self._path).mkdir(0o700)
            with self._directory() as directory:
                _write(f"{digest}{SUFFIX}", _content(compiled, digest), directory)
                _remove_oldest(directory)
        except (OSError, UnsafeError) as error:
            log.debug("cannot keep the compiled probe in %s (%s)", self._path, reason(error))

    @contextlib.contextmanager
    def _directory(self) -> Iterator[int]:
        descriptor = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _check_owner(os.fstat(descriptor))
            yield descriptor
        finally:
            os.close(descriptor)


def _digest(source: Path, definitions: Mapping[str, object], needs: KernelNeeds, *, typed: bool) -> str:
    """Return a digest of all that a program is compiled from; an empty string if the kernel's types cannot be read."""
    found = hashlib.sha256(repr((source.name, sorted(definitions.items()), typed)).encode())
    found.update(repr((needs.tracepoint, *needs.functions, *needs.features, sorted(needs.without))).encode())
    found.update(repr((platform.machine(), platform.release(), os.sysconf("SC_PAGE_SIZE"))).encode())
    types = [BTF_DIRECTORY / "vmlinux", *filter(Path.exists, [BTF_DIRECTORY / "overlay"])]
    for path in (*sorted(source.parent.glob("*.[ch]")), *sorted(Path(__file__).parent.glob("*.py")), *types):
        try:
            content = path.read_bytes()
        except OSError:
            return ""
        found.update(b"%d\n" % len(content))
        found.update(content)
    return found.hexdigest()


def _check_owner(found: os.stat_result) -> None:
    if found.st_uid not in (0, os.geteuid()):
        raise UnsafeError(f"it belongs to uid {found.st_uid}")
    if found.st_mode & FORBIDDEN:
        raise UnsafeError(f"others may write to it, mode {stat.S_IMODE(found.st_mode):o}")


def _read(name: str, directory: int) -> bytes:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with open(os.open(name, flags, dir_fd=directory), "rb") as file:  # noqa: PTH123 - below a descriptor
        found = os.fstat(file.fileno())
        _check_owner(found)
        if not stat.S_ISREG(found.st_mode):
            raise UnsafeError("it is not a regular file")
        return file.read(FILE_BYTES)


def _write(name: str, content: bytes, directory: int) -> None:
    writing = f"{name}-{os.getpid()}"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(writing, dir_fd=directory)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        with open(os.open(writing, flags, 0o600, dir_fd=directory), "wb") as file:  # noqa: PTH123
            file.write(content)
        os.rename(writing, name, src_dir_fd=directory, dst_dir_fd=directory)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(writing, dir_fd=directory)
        raise


def _remove_oldest(directory: int) -> None:
    """Remove files until at most FILES are left; also those of processes that were killed while writing."""
    found = []
    for name in os.listdir(directory):
        if SUFFIX in name:
            with contextlib.suppress(FileNotFoundError):
                found.append((os.stat(name, dir_fd=directory, follow_symlinks=False).st_mtime_ns, name))
    for _, name in sorted(found)[:-FILES]:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=directory)


def _content(compiled: Compiled, digest: str) -> bytes:
    text = json.dumps({"made_from": digest, **describe(compiled)}).encode("ascii")
    return hashlib.sha256(text).digest() + zlib.compress(text)


def _compiled(content: bytes, digest: str, features: Collection[Feature]) -> Compiled:
    size = hashlib.sha256().digest_size
    text = zlib.decompressobj().decompress(content[size:], JSON_BYTES)
    if hashlib.sha256(text).digest() != content[:size]:
        raise ValueError
    described = json.loads(text)
    if described["made_from"] != digest:
        raise ValueError
    return compiled_from(described, features)
