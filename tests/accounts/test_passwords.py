"""Hashing off the loop, with a bound, and without telling who exists."""

from __future__ import annotations

import asyncio
import threading

import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from tests.support.accounts import cheap_passwords
from tidewire.accounts.passwords import Passwords
from tidewire.core.errors import Unavailable


async def test_right_wrong_and_nobody() -> None:
    """Only the right password of an existing hash matches."""
    passwords = cheap_passwords()
    stored = await passwords.hash("four unrelated words")
    assert stored.startswith("$argon2id$")
    assert (await passwords.check("four unrelated words", stored)).matches
    assert not (await passwords.check("four unrelated word", stored)).matches
    assert not (await passwords.check("four unrelated words", None)).matches
    assert not (await passwords.check("four unrelated words", "not a hash")).matches


async def test_one_password_in_two_encodings() -> None:
    """A composed and a decomposed letter are the same password."""
    passwords = cheap_passwords()
    stored = await passwords.hash("caf\u00e9 au lait")
    assert (await passwords.check("cafe\u0301 au lait", stored)).matches


async def test_an_over_long_password_never_matches() -> None:
    """Only the head is hashed for the time's sake; the head alone is not the password."""
    passwords = cheap_passwords()
    stored = await passwords.hash("x" * 256)
    assert (await passwords.check("x" * 256, stored)).matches
    assert not (await passwords.check("x" * 100_000, stored)).matches


async def test_old_parameters_are_noticed() -> None:
    """A hash with weaker parameters yields a new one, which matches and is left alone."""
    passwords = cheap_passwords()
    weak = await passwords.hash("four unrelated words")
    strong = Passwords(PasswordHash((Argon2Hasher(time_cost=2, memory_cost=16, parallelism=1),)))
    verdict = await strong.check("four unrelated words", weak)
    assert verdict.matches
    assert verdict.new_hash is not None
    again = await strong.check("four unrelated words", verdict.new_hash)
    assert (again.matches, again.new_hash) == (True, None)
    assert (await strong.check("wrong", weak)).new_hash is None


class _GatedHasher(Argon2Hasher):
    """Real hashes that wait for the test's word, so that a full queue can be seen."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.gate = threading.Event()
        self.gate.set()
        self.threads: set[int] = set()
        self.inside = 0
        self.most = 0

    def verify(self, password: str | bytes, hash: str | bytes) -> bool:  # noqa: A002 - the library's name
        """Wait, then verify."""
        self.inside += 1
        self.most = max(self.most, self.inside)
        self.threads.add(threading.get_ident())
        self.gate.wait(10)
        self.inside -= 1
        return super().verify(password, hash)


async def test_a_flood_is_refused_and_the_loop_stays_free() -> None:
    """Two run, three wait, the rest are refused at once; afterwards everything works again."""
    hasher = _GatedHasher()
    passwords = Passwords(PasswordHash((hasher,)), concurrency=2, waiting_max=3)
    hasher.gate.clear()
    checks = [asyncio.create_task(passwords.check("x", None)) for _ in range(20)]
    for _, refusal in zip(range(15), asyncio.as_completed(checks), strict=False):
        with pytest.raises(Unavailable):
            await refusal
    refused = [task for task in checks if task.done()]
    assert len(refused) == 15
    hasher.gate.set()
    verdicts = await asyncio.gather(*(task for task in checks if task not in refused))
    assert [verdict.matches for verdict in verdicts] == [False] * 5
    assert hasher.most <= 2
    assert threading.get_ident() not in hasher.threads
    assert passwords.refused == 15
    assert not (await passwords.check("x", None)).matches


async def test_a_missing_user_costs_a_whole_check() -> None:
    """The decoy is verified with the same hasher, once, exactly as a stored hash would be."""
    hasher = _GatedHasher()
    passwords = Passwords(PasswordHash((hasher,)))
    for stored in (None, await passwords.hash("four unrelated words"), "not a hash"):
        hasher.threads.clear()
        await passwords.check("wrong", stored)
        assert len(hasher.threads) == 1


async def test_refusal_says_when() -> None:
    """A refused check is temporary and says when to come back."""
    hasher = _GatedHasher()
    passwords = Passwords(PasswordHash((hasher,)), concurrency=1, waiting_max=0)
    hasher.gate.clear()
    first = asyncio.create_task(passwords.check("x", None))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable) as refused:
        await passwords.check("x", None)
    assert refused.value.retry_after_ms
    hasher.gate.set()
    await first
