import pytest

from exporter.config.duration import GO, PROMETHEUS, seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", 0), ("90s", 90), ("1h30m", 5400), ("1.5h", 5400), (".5s", 0.5), ("500ms", 0.5), ("2w1d", 15 * 86_400)],
)
def test_durations_are_read(text, expected):
    assert seconds(text, PROMETHEUS) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "5", "s", "1 h", "-1s", "1x", "1h30", "1.2.3s", "1e3s", "٣s", "1S"])
def test_invalid_durations_are_refused(text):
    with pytest.raises(ValueError, match="is not a duration"):
        seconds(text, PROMETHEUS)


def test_go_has_no_days():
    with pytest.raises(ValueError, match="is not a duration"):
        seconds("1d", GO)
