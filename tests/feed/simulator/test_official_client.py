"""The vendor's own Python client, unmodified, is the witness that the simulator speaks the protocol."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from massive import WebSocketClient
from massive.exceptions import AuthError
from massive.websocket.models import EquityAgg, EquityQuote, EquityTrade, WebSocketMessage
from websockets.exceptions import ConnectionClosedError

from tests.feed.simulator.peer import CEILING_S, KEY, running
from tidewire.feed.simulator import Simulator


class Witness:
    """Collects what the official client parsed."""

    def __init__(self, simulator: Simulator, subscriptions: list[str], key: str = KEY) -> None:
        self.client = WebSocketClient(
            api_key=key,
            feed=f"127.0.0.1:{simulator.port}",
            market="stocks",
            secure=False,
            subscriptions=subscriptions,
            max_reconnects=0,
        )
        self.seen: list[WebSocketMessage] = []
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Run the client until its connection ends."""
        await self.client.connect(self._take, proxy=None)

    async def _take(self, messages: list[WebSocketMessage]) -> None:
        self.seen += messages
        self._changed.set()

    async def until(self, enough: Callable[[], bool]) -> None:
        """Wait until ``enough`` holds; looked at after each frame."""
        async with asyncio.timeout(CEILING_S):
            while not enough():
                self._changed.clear()
                await self._changed.wait()

    def of(self, event_type: str) -> list[WebSocketMessage]:
        """Return what was seen of one type."""
        return [message for message in self.seen if message.event_type == event_type]


@asynccontextmanager
async def watching(simulator: Simulator, *subscriptions: str) -> AsyncIterator[Witness]:
    """Run the official client in a task while the test looks at what it sees."""
    witness = Witness(simulator, list(subscriptions))
    task = asyncio.create_task(witness.run())
    try:
        yield witness
    finally:
        await witness.client.close()
        await asyncio.gather(task, return_exceptions=True)


async def test_every_event_type_is_parsed_by_the_official_client() -> None:
    """T, Q, A and AM arrive as the client's own models, with every field that the protocol has."""
    async with running(SoonAMinute(), rate=2_000) as simulator, watching(simulator, "T.*", "Q.*", "A.*") as witness:
        witness.client.subscribe("AM.AAPL")
        await witness.until(lambda: all(witness.of(kind) for kind in ("T", "Q", "A", "AM")))
        trade, quote, second, minute = (witness.of(kind)[-1] for kind in ("T", "Q", "A", "AM"))
    assert isinstance(trade, EquityTrade)
    assert isinstance(trade.price, float)
    assert isinstance(trade.id, str)
    assert trade.fractional_shares == f"{trade.size}.0"
    assert None not in (trade.exchange, trade.tape, trade.conditions, trade.timestamp, trade.sequence_number)
    assert isinstance(quote, EquityQuote)
    assert quote.bid_price < quote.ask_price
    assert None not in (quote.bid_size, quote.ask_size, quote.tape, quote.timestamp, quote.sequence_number)
    for bar, length_ms in ((second, 1_000), (minute, 60_000)):
        assert isinstance(bar, EquityAgg)
        assert bar.end_timestamp - bar.start_timestamp == length_ms
        assert bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high
        assert bar.low <= bar.vwap <= bar.high
        assert bar.fractional_volume == f"{bar.volume}.0"
        assert bar.fractional_accumulated_volume == f"{bar.accumulated_volume}.0"
        assert None not in (bar.official_open_price, bar.aggregate_vwap, bar.average_size)
    # 13 digits: milliseconds, in this century.
    assert len(str(trade.timestamp)) == len(str(quote.timestamp)) == len(str(minute.start_timestamp)) == 13


async def test_a_pending_subscription_is_sent_while_the_client_streams() -> None:
    """A topic added at run time flows, and one taken back stops flowing while the rest goes on."""
    async with running(rate=2_000) as simulator, watching(simulator, "T.AAPL") as witness:
        await witness.until(lambda: bool(witness.of("T")))
        assert {message.symbol for message in witness.seen} == {"AAPL"}
        witness.client.subscribe("T.MSFT")
        await witness.until(lambda: "MSFT" in {message.symbol for message in witness.seen})
        witness.client.unsubscribe("T.AAPL")
        await witness.until(lambda: len(simulator.state().connections) == 1 and _topics(simulator) == 1)
        witness.seen.clear()
        await witness.until(lambda: len(witness.seen) >= 20)
        assert {message.symbol for message in witness.seen[10:]} == {"MSFT"}


async def test_a_dotted_ticker_is_parsed_by_the_official_client() -> None:
    """A ticker with a share class comes through whole, because topics split at the first dot."""
    async with running(tickers=40, rate=5_000) as simulator:
        dotted = next(symbol for symbol in simulator.symbols if "." in symbol)
        async with watching(simulator, f"T.{dotted}") as witness:
            await witness.until(lambda: bool(witness.seen))
            assert witness.seen[0].symbol == dotted


async def test_a_wrong_key_raises_the_clients_own_auth_error() -> None:
    """The official client recognises auth_failed as such."""
    async with running() as simulator:
        with pytest.raises(AuthError, match="authentication failed"):
            async with asyncio.timeout(CEILING_S):
                await Witness(simulator, ["T.AAPL"], key="wrong").run()


async def test_an_eviction_ends_the_official_client_with_1008() -> None:
    """With a limit of one, the older client is closed with the policy code that the vendor uses."""
    async with running(max_connections=1, rate=2_000) as simulator:
        older = Witness(simulator, ["T.AAPL"])
        task = asyncio.create_task(older.run())
        await older.until(lambda: bool(older.seen))
        async with watching(simulator, "T.AAPL") as newer:
            await newer.until(lambda: bool(newer.seen))
            with pytest.raises(ConnectionClosedError) as caught:
                async with asyncio.timeout(CEILING_S):
                    await task
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1008


def _topics(simulator: Simulator) -> int:
    return simulator.state().connections[0].topics


class SoonAMinute:
    """The machine's clock, moved so that it starts one second before a full minute."""

    def __init__(self) -> None:
        self._shift_s = 1_700_000_039.0 - asyncio.get_running_loop().time()

    def time(self) -> float:
        """Return shifted wall time."""
        return self.monotonic() + self._shift_s

    def monotonic(self) -> float:
        """Return the loop's own time."""
        return asyncio.get_running_loop().time()

    async def sleep(self, delay_s: float) -> None:
        """Sleep on the loop."""
        await asyncio.sleep(delay_s)
