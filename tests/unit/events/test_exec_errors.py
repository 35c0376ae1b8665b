import errno

from exporter.events.exec_errors import ERRORS, OTHER, name


def test_documented_errors_have_their_names():
    assert [name(getattr(errno, error)) for error in ERRORS] == list(ERRORS)


def test_an_error_that_the_manual_does_not_name_has_its_name_too():
    assert name(errno.EDOM) == "EDOM"


def test_a_number_that_is_no_errno_is_other():
    assert {name(0), name(133), name(4096)} == {OTHER}
