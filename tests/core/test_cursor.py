"""A place in a list as a word: there and back, and no word of a stranger is taken for one."""

from __future__ import annotations

import base64

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidewire.core.cursor import read_place, write_place

PLACE = msgspec.json.Decoder(tuple[float, str])


@given(st.floats(allow_nan=False, allow_infinity=False), st.text())
def test_a_place_comes_back_with_and_without_padding(at: float, name: str) -> None:
    """The word needs no escape in a query; programs that strip its end are understood."""
    word = write_place((at, name))
    assert set(word) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=")
    assert read_place(word, PLACE) == read_place(word.rstrip("="), PLACE) == (at, name)


STRANGE = [b"", b"null", b"[1]", b'["a",1.0]', b"\xff", b'[1.0,"a"', b"[" * 100_000]


WORDS = ["x", "ä", "====", "!", *(base64.urlsafe_b64encode(each).decode() for each in STRANGE)]


@pytest.mark.parametrize("word", WORDS, ids=range(len(WORDS)))
def test_any_other_word_is_refused(word: str) -> None:
    """Not base64, not ASCII, not JSON, another kind of place, brackets without end: one error."""
    with pytest.raises(ValueError, match="no place"):
        read_place(word, PLACE)
