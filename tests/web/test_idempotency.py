"""A request sent twice is done once."""

from __future__ import annotations

import pytest

from tidewire.core.errors import Conflict
from tidewire.web.idempotency import LIFE_S, Idempotency


def test_the_same_request_gets_the_same_answer() -> None:
    """Per caller and key, for a while."""
    answers = Idempotency()
    assert answers.recall("a", "k", b"1", 0.0) is None
    answers.remember("a", "k", b"1", b"done", 0.0)
    assert answers.recall("a", "k", b"1", LIFE_S - 1) == b"done"
    assert answers.recall("b", "k", b"1", 1.0) is None
    assert answers.recall("a", "k", b"1", LIFE_S) is None
    assert len(answers) == 0


def test_a_key_is_for_one_request() -> None:
    """Another body under the same key is refused."""
    answers = Idempotency()
    answers.remember("a", "k", b"1", b"done", 0.0)
    with pytest.raises(Conflict):
        answers.recall("a", "k", b"2", 1.0)


def test_the_memory_is_bounded() -> None:
    """The oldest answer goes first."""
    answers = Idempotency(answers_max=2)
    for key in "xyz":
        answers.remember("a", key, b"1", key.encode(), 0.0)
    assert [answers.recall("a", key, b"1", 0.0) for key in "xyz"] == [None, b"y", b"z"]
