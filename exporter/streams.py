r"""Standard input, output and error, whatever the caller made of them: closed, full, in another encoding, unread.

What an encoding lacks is printed as in labels: each byte of its UTF-8 as `\xHH`.
"""

from __future__ import annotations

import codecs
import io
import locale
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

from exporter.errors import ExporterError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

HANDLER = "label"  # of errors in encoding


class ReaderGone(SystemExit):
    """The reader of standard output has closed it, as `head` does: end quietly, with status 0."""


@contextmanager
def standard_streams() -> Iterator[None]:
    """Set up the streams, and flush standard output after the block. Raise ExporterError or ReaderGone.

    Names of files are UTF-8 in all locales: in others Python starts again in its UTF-8 mode. Errors of standard error
    are ignored: there is nowhere to report them.
    """
    _open_descriptors()
    _enter_utf8_mode()
    codecs.register_error(HANDLER, _as_label)
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - for the process
    sys.stdout = _text(_Output(1, "w", closefd=False), sys.stdout, by_line=os.isatty(1))
    sys.stderr = _text(_Errors(2, "w", closefd=False), sys.stderr, by_line=True)
    try:
        yield
    finally:
        sys.stdout.flush()


class _Stream(io.FileIO):
    def write(self, data: ReadableBuffer, /) -> int:
        """Write even to a pipe that another process made non-blocking."""
        while (written := super().write(data)) is None:
            select.select((), (self,), ())
        return written


class _Output(_Stream):
    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            with open(os.devnull, "wb") as null:  # noqa: PTH123 - or what is buffered is tried again at the exit
                os.dup2(null.fileno(), self.fileno())
            if isinstance(error, BrokenPipeError):
                raise ReaderGone(0) from error
            raise ExporterError(f"cannot write to standard output ({error.strerror})", "write elsewhere") from error


class _Errors(_Stream):
    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def _text(raw: io.FileIO, before: TextIO | None, *, by_line: bool) -> io.TextIOWrapper:
    """Return a text stream in the encoding of the one before."""
    return io.TextIOWrapper(
        io.BufferedWriter(raw), before.encoding if before else "utf-8", HANDLER, line_buffering=by_line
    )


def _open_descriptors() -> None:
    """Open those that are closed: what is opened next would get their numbers, and what is printed."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest number is free


def _enter_utf8_mode() -> None:
    if sys.getfilesystemencoding() != "utf-8":
        os.environ.setdefault("PYTHONIOENCODING", locale.getencoding())  # of what is printed
        with suppress(OSError):
            os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606 - itself


def _as_label(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    try:
        name = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a surrogate that stands for no byte
        name = text.encode("utf-8", "surrogatepass")
    return "".join(f"\\x{byte:02x}" for byte in name), error.end
