import errno
import os

import pytest

from exporter.host import libc


def test_the_result_of_a_function():
    assert libc.call("getppid") == os.getppid()


def test_errno_becomes_an_oserror():
    with pytest.raises(NotADirectoryError) as raised:
        libc.call("chdir", b"/dev/null")
    assert (raised.value.errno, raised.value.strerror) == (errno.ENOTDIR, os.strerror(errno.ENOTDIR))
