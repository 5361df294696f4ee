"""Which frames are wanted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regard.errors import SelectionError
from regard.media.frames import FrameRange


@given(st.integers(0, 20), st.none() | st.integers(1, 30), st.integers(1, 6), st.integers(0, 30))
def test_a_range_is_what_slicing_gives(start: int, stop: int | None, step: int, total: int) -> None:
    if stop is not None and stop <= start:
        return
    wanted = FrameRange(start, stop, step)
    expected = list(range(total))[start:stop:step]
    assert [index for index in range(total) if index in wanted] == expected
    assert wanted.count(total) == len(expected)
    assert FrameRange.parse(str(wanted)) == wanted


@pytest.mark.parametrize("text", ["", "5", "a:b", "-3:4", "1:2:3:4", "4:4", "::0", "9:3"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(SelectionError, match="such as 0:100"):
        FrameRange.parse(text)
