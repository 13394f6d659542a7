"""Connection tokens: one login, one use, one minute."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.accounts import SECRET
from tests.support.clock import HandClock
from tidewire.accounts.tokens import LIFE_S, ConnectionTokens


@pytest.fixture
def tokens(clock: HandClock) -> ConnectionTokens:
    """Tokens of one node."""
    return ConnectionTokens(SECRET, clock)


def test_a_token_works_once(tokens: ConnectionTokens, clock: HandClock) -> None:
    """It names its login the first time and nobody the second."""
    issued = tokens.issue("abc123")
    assert issued.expires_at == pytest.approx(clock.time() + LIFE_S)
    assert [tokens.redeem(issued.token) for _ in range(2)] == ["abc123", None]
    assert tokens.statistics() == {"issued": 1, "redeemed": 1, "refused": 1, "remembered": 1}


async def test_a_token_lives_a_minute(tokens: ConnectionTokens, clock: HandClock) -> None:
    """Just before its end it works, at its end it does not, and used ones are forgotten then."""
    first, second = tokens.issue("a"), tokens.issue("b")
    await clock.advance(LIFE_S - 0.01)
    assert tokens.redeem(first.token) == "a"
    await clock.advance(0.01)
    assert tokens.redeem(second.token) is None
    await clock.advance(LIFE_S)
    assert tokens.redeem(tokens.issue("c").token) == "c"
    assert tokens.statistics()["remembered"] == 1


def test_a_token_of_another_key_is_worthless(tokens: ConnectionTokens, clock: HandClock) -> None:
    """Tokens are bound to the secret."""
    other = ConnectionTokens(SECRET + "x", clock)
    assert tokens.redeem(other.issue("a").token) is None


def test_nodes_tell_each_other(clock: HandClock) -> None:
    """A token that one node took is refused by the node that heard of it."""
    here = ConnectionTokens(SECRET, clock)
    there = ConnectionTokens(SECRET, clock, announce=here.note_used)
    token = here.issue("a").token
    assert there.redeem(token) == "a"
    assert here.redeem(token) is None


def test_too_many_used_tokens_refuse_further_ones(clock: HandClock) -> None:
    """What cannot be remembered as used is not accepted: the bound fails closed."""
    tokens = ConnectionTokens(SECRET, clock, used_max=2)
    assert [tokens.redeem(tokens.issue("a").token) for _ in range(3)] == ["a", "a", None]


@settings(max_examples=100)
@given(st.data())
def test_changed_tokens_are_refused(data: st.DataObject) -> None:
    """Any single changed, added or missing character makes a token worthless."""
    tokens = ConnectionTokens(SECRET, HandClock())
    token = tokens.issue("abc123").token
    at = data.draw(st.integers(0, len(token) - 1))
    put = data.draw(st.text(max_size=2).filter(lambda text: text != token[at]))
    assert tokens.redeem(token[:at] + put + token[at + 1 :]) is None
    assert tokens.redeem(token) == "abc123"
