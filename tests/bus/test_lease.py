"""The lease: at most one leads at any moment, whatever freezes; real and simulated."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bus.conftest import valkey, valkey_url
from tests.support.clock import HandClock
from tests.support.valkey import BareClient, ValkeyProcess
from tidewire.bus.lease import Lease, LeaseAnswer, LeaseTiming, Standing
from tidewire.bus.lease_keeper import LeaseKeeper
from tidewire.bus.redis_lease import FENCE_KEY, KEY, RedisLease
from tidewire.core.errors import BusError

__all__ = ["valkey", "valkey_url"]

TIMING = LeaseTiming(ttl_s=6.0, renew_s=1.0, margin_s=2.0)


class ScriptedStore:
    """A lease as Redis keeps it, in memory: one holder, a time to live, numbers that rise."""

    def __init__(self) -> None:
        self.holder = ""
        self.fence = 0
        self.until = 0.0

    def ask(self, owner: str, now: float, ttl_s: float) -> LeaseAnswer:
        """Take or renew at ``now``."""
        if now >= self.until:
            self.holder = ""
        if self.holder in ("", owner):
            if not self.holder:
                self.fence += 1
            self.holder, self.until = owner, now + ttl_s
        return LeaseAnswer(mine=self.holder == owner, fence=self.fence, holder=self.holder)


# (which process, what it does, how long it takes in seconds)
_Step = tuple[int, str, float]
_STEPS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from(["ask", "slow", "lost", "look"]),
        st.floats(0.0, 8.0, allow_nan=False),
    ),
    max_size=60,
)


@given(_STEPS)
def test_never_do_two_lead_at_once(steps: list[_Step]) -> None:
    """Slow answers, lost answers and long silences of any process: at every moment at most one leads."""
    store = ScriptedStore()
    asked = [Lease(TIMING) for _ in range(3)]
    fences: list[int] = []
    now = 0.0
    for who, what, takes_s in steps:
        began = now
        if what == "look":
            now += takes_s
        else:
            # The server may decide anywhere between question and answer; the latest moment is the dangerous one.
            now += takes_s
            answer = store.ask(str(who), now, TIMING.ttl_s)
            if what == "slow":
                now += takes_s
            if what != "lost":
                asked[who].answered(began, answer)
        leaders = [lease for lease in asked if lease.leads(now)]
        assert len(leaders) <= 1
        if leaders and leaders[0].fence not in fences[-1:]:
            fences.append(leaders[0].fence)
    assert fences == sorted(fences)


def test_who_was_frozen_does_not_lead_any_more() -> None:
    """The first look after a freeze says so, before any answer; that it was lost is told once."""
    lease = Lease(TIMING)
    assert lease.answered(100.0, LeaseAnswer(mine=True, fence=7, holder="me"))
    assert lease.leads(103.9)
    assert not lease.leads(104.0)
    assert not lease.expire(103.9)
    assert lease.expire(104.0)
    assert not lease.expire(105.0)
    assert (lease.standing, lease.fence) == (Standing.WAITING, 0)


@pytest.fixture
async def asker(valkey: ValkeyProcess) -> AsyncIterator[Callable[[str], RedisLease]]:
    """Makes processes that ask one server of their own."""
    made: list[RedisLease] = []

    def make(owner: str, ttl_s: float = 30.0) -> RedisLease:
        made.append(RedisLease(valkey.url, owner, ttl_s=ttl_s))
        return made[-1]

    yield make
    for lease in made:
        await lease.close()


async def test_one_holds_it_until_it_gives_it_back(asker: Callable[[str], RedisLease]) -> None:
    """The second is told who holds it; after the release it gets a higher number; a stranger cannot release it."""
    first, second = asker("first node"), asker("second")
    taken = await first.ask()
    assert (taken.mine, taken.holder) == (True, "first node")
    assert await first.ask() == taken
    refused = await second.ask()
    assert (refused.mine, refused.fence, refused.holder) == (False, taken.fence, "first node")
    assert 20.0 < refused.left_s <= 30.001
    assert (await second.look()).fence == taken.fence
    await second.release()
    assert not (await second.ask()).mine
    await first.release()
    later = await second.ask()
    assert later.mine
    assert later.fence > taken.fence


async def test_a_server_that_lost_everything_gives_higher_numbers_still(
    asker: Callable[[str], RedisLease], valkey: ValkeyProcess
) -> None:
    """After FLUSHALL the next number is above the last; consumers that remember it take the new holder's messages."""
    before = await asker("a").ask()
    assert await BareClient(valkey.port).command("FLUSHALL") == b"+OK"
    assert (await asker("b").ask()).fence > before.fence


async def test_numbers_rise_although_the_servers_clock_was_set_back(
    asker: Callable[[str], RedisLease], valkey: ValkeyProcess
) -> None:
    """The last number is kept: one from the future is followed by the next one, not by the time."""
    future = 9_000_000_000_000
    assert await BareClient(valkey.port).command("SET", FENCE_KEY, str(future)) == b"+OK"
    assert (await asker("a").ask()).fence == future + 1


async def test_it_expires_at_the_server(asker: Callable[..., RedisLease], valkey: ValkeyProcess) -> None:
    """A holder that says nothing loses it after the time to live, and renewing puts that off."""
    bare = BareClient(valkey.port)
    await asker("a", 60.0).ask()
    assert 50_000 < int((await bare.command("PTTL", KEY))[1:]) <= 60_000
    assert await bare.command("PEXPIRE", KEY, "1000") == b":1"
    await asker("a", 60.0).ask()
    assert int((await bare.command("PTTL", KEY))[1:]) > 50_000


async def test_a_frozen_server_is_an_error_within_a_second_or_so(
    asker: Callable[[str], RedisLease], valkey: ValkeyProcess
) -> None:
    """The question ends with BusError; when the server goes on, a fresh connection gets its own answer."""
    lease = asker("a")
    held = await lease.ask()
    valkey.freeze()
    try:
        async with asyncio.timeout(45):
            with pytest.raises(BusError, match="no answer in time"):
                await lease.ask()
    finally:
        valkey.thaw()
    async with asyncio.timeout(45):
        assert (await lease.look()).fence == held.fence


class HandStore:
    """A store whose answers a test gives."""

    def __init__(self) -> None:
        self.asked: asyncio.Queue[asyncio.Future[LeaseAnswer]] = asyncio.Queue()
        self.released = 0

    async def ask(self) -> LeaseAnswer:
        """Wait for the test's answer."""
        answer: asyncio.Future[LeaseAnswer] = asyncio.get_running_loop().create_future()
        self.asked.put_nowait(answer)
        return await answer

    async def release(self) -> None:
        """Count it."""
        self.released += 1

    async def close(self) -> None:
        """Nothing to close."""


async def test_who_waits_asks_when_the_lease_runs_out() -> None:
    """Each second while it is renewed; at once when it can be free, not up to a second later."""
    clock, store = HandClock(), HandStore()
    keeper = LeaseKeeper(store, clock, lambda: None, timing=TIMING)
    keeper.start()
    try:
        for left_s, next_in_s in ((5.2, 1.0), (0.0, 1.0), (0.25, 0.25)):
            question = await store.asked.get()
            question.set_result(LeaseAnswer(mine=False, fence=6, holder="another", left_s=left_s))
            await clock.advance(next_in_s - 0.01)
            assert store.asked.empty()
            await clock.advance(0.01)
            assert store.asked.qsize() == 1
        (await store.asked.get()).set_exception(BusError("down"))
        await clock.advance(0.99)
        assert store.asked.empty()
        await clock.advance(0.01)
        (await store.asked.get()).set_result(LeaseAnswer(mine=True, fence=7, holder="me"))
        await clock.advance(0)
        assert keeper.fence() == 7
    finally:
        await keeper.stop()


async def test_the_keeper_tells_what_came_and_what_went() -> None:
    """Held, then the server is silent until the time is up: told twice, and the number is gone at once."""
    clock, store, told = HandClock(), HandStore(), []
    keeper = LeaseKeeper(store, clock, lambda: told.append(keeper.fence()), timing=TIMING)
    keeper.start()
    (await store.asked.get()).set_result(LeaseAnswer(mine=True, fence=5, holder="me"))
    await clock.advance(0)
    assert (told, keeper.fence()) == ([5], 5)
    for _ in range(2):
        await clock.advance(1.0)
        (await store.asked.get()).set_exception(BusError("down"))
        await clock.advance(0)
        assert keeper.fence() == 5
    # As after SIGSTOP and SIGCONT: much time at once, and the first thing asked is whether we lead.
    clock._mono += 10.0
    assert keeper.fence() is None
    assert told == [5]
    await clock.advance(1.0)
    assert told == [5, None]
    (await store.asked.get()).set_result(LeaseAnswer(mine=False, fence=6, holder="another"))
    await clock.advance(0)
    assert (keeper.holder, keeper.reason) == ("another", "another leads")
    await keeper.stop()
    assert store.released == 0


async def test_the_keeper_gives_back_what_it_holds() -> None:
    """A clean stop releases the lease, so that a successor does not wait for it to expire."""
    clock, store = HandClock(), HandStore()
    keeper = LeaseKeeper(store, clock, lambda: None, timing=TIMING)
    keeper.start()
    (await store.asked.get()).set_result(LeaseAnswer(mine=True, fence=5, holder="me"))
    await clock.advance(0)
    await keeper.stop()
    await keeper.stop()
    assert (store.released, keeper.fence()) == (1, None)
