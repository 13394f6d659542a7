"""The shell: a picows server, one loop that makes time pass, and the doors to both. It must not decide anything.

The venue and the fault board decide; this file moves bytes. Each event is encoded once, and each connection gets one
write per frame. No client is ever awaited: a slow one is judged by its unsent bytes.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Iterable

import structlog
from picows import WSListener, WSUpgradeRequest, WSUpgradeResponse, WSUpgradeResponseWithListener, ws_create_server

from tidewire.core.background import background
from tidewire.core.clock import Clock, SystemClock
from tidewire.core.errors import RequestError, SettingsError
from tidewire.feed.simulator.bars import load_real_bars
from tidewire.feed.simulator.chance import Draw
from tidewire.feed.simulator.client_socket import MAX_MESSAGE_BYTES, ClientSocket
from tidewire.feed.simulator.config import ScriptedPress, SimulatorConfig
from tidewire.feed.simulator.control import Control
from tidewire.feed.simulator.fault import FaultBoard
from tidewire.feed.simulator.instrument import Instrument
from tidewire.feed.simulator.listing import bars_of, list_market
from tidewire.feed.simulator.market import QUANTUM_MS, Market
from tidewire.feed.simulator.pacer import Pacer
from tidewire.feed.simulator.press import Pressed
from tidewire.feed.simulator.state import MarketState, SimulatorState, describe, describe_connection
from tidewire.feed.simulator.venue import Act, Close, Push, Venue

PATH = "/stocks"
# Quanta made up for before the loop lets sockets and control have a turn.
QUANTA_PER_TURN = 5
# How far market time may drift from the wall clock (a suspended laptop, a stepped clock) before it jumps after it.
MAX_DRIFT_MS = 250
# Newest presses kept for GET /state.
PRESSES_KEPT = 1_000
GOING_AWAY = 1001
# A stop waits this long for the clients' goodbyes.
STOP_TIMEOUT_S = 2.0

log = structlog.get_logger(__name__)


class Simulator:
    """A running simulated venue.

    Args:
        config: What to simulate.
        clock: Time; the machine's own if absent.

    Raises:
        SettingsError: The packaged bars are damaged.
    """

    def __init__(self, config: SimulatorConfig, clock: Clock | None = None) -> None:
        self.config = config
        self._clock: Clock = clock or SystemClock()
        real = load_real_bars()
        self._instruments = {
            listing.symbol: Instrument(listing, bars_of(listing, real, self._chance), self._chance(listing.symbol))
            for listing in list_market(config.tickers, config.seed)
        }
        self._market = Market(
            self._instruments,
            self._chance("market"),
            day_ms=int(config.day_seconds * 1_000),
            quote_share=config.quote_share,
        )
        self._venue = Venue(config, self._instruments, self._chance("venue"))
        self._board = FaultBoard(self._venue, self._instruments)
        self._script = deque(sorted(config.script, key=lambda press: press.at_s))
        self._presses: deque[ScriptedPress] = deque(maxlen=PRESSES_KEPT)
        self._sockets: dict[int, ClientSocket] = {}
        self._server: asyncio.Server | None = None
        self._control: Control | None = None
        self._loop_task: asyncio.Task[None] | None = None
        self._pacer = Pacer(0.0, quantum_s=QUANTUM_MS / 1_000)
        self._wall_ms = 0

    # -- life --------------------------------------------------------------------------------------------------------

    @property
    def port(self) -> int:
        """Port of the WebSocket server. Raises RuntimeError unless started."""
        if self._server is None:
            raise RuntimeError("the simulator is not started")
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def control_port(self) -> int | None:
        """Port of the HTTP control, or None if there is none."""
        return None if self._control is None else self._control.port

    @property
    def symbols(self) -> list[str]:
        """Every listed ticker, the real ones first."""
        return list(self._instruments)

    async def start(self) -> None:
        """Listen, and let market time pass. Raises SettingsError if a port is taken, RuntimeError if started."""
        if self._server is not None:
            raise RuntimeError("the simulator is started already")
        self._server = await self._listen()
        if self.config.control_port is not None:
            control = Control(self)
            try:
                await control.start(self.config.control_port)
            except SettingsError:
                await self.stop()
                raise
            self._control = control
        self._pacer = Pacer(self._clock.monotonic(), quantum_s=QUANTUM_MS / 1_000)
        self._loop_task = background(self._run(), "simulator-loop")

    async def stop(self) -> None:
        """Say goodbye to everyone and stop. Idempotent."""
        if self._loop_task is not None:
            self._loop_task.cancel()
            await asyncio.gather(self._loop_task, return_exceptions=True)
            self._loop_task = None
        if self._control is not None:
            await self._control.stop()
            self._control = None
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        sockets = list(self._sockets.values())
        for socket in sockets:
            socket.close(GOING_AWAY, "simulator stops")
            socket.drop(flush=True)
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await asyncio.gather(*(socket.wait_ended() for socket in sockets))
        except TimeoutError:
            for socket in sockets:
                socket.drop()
        await server.wait_closed()

    async def wait_failed(self) -> None:
        """Return when the loop has been stopped; raise what it died of."""
        if self._loop_task is not None:
            await asyncio.wait([self._loop_task])
            if not self._loop_task.cancelled():
                self._loop_task.result()

    async def _listen(self) -> asyncio.Server:
        try:
            return await ws_create_server(
                self._route,
                self.config.host,
                self.config.port,
                enable_auto_pong=False,
                max_frame_size=MAX_MESSAGE_BYTES,
                logger_name="simulator",
            )
        except OSError as exc:
            raise SettingsError(
                f"The simulator cannot listen on {self.config.host}:{self.config.port} ({exc.strerror}).",
                required_action="Choose another port, or 0 for a free one.",
                will_not="The simulator will not take another port by itself.",
                code="simulator_port_taken",
            ) from exc

    # -- doors -------------------------------------------------------------------------------------------------------

    def press(self, fault: str, request: object) -> Pressed:
        """Press a fault; raises what FaultBoard.press raises."""
        now_s = self._now_s
        pressed, acts = self._board.press(fault, request, now_s)
        # What FaultBoard accepted is an object whose values are numbers and texts.
        self._presses.append(ScriptedPress(now_s, fault, dict(request) if isinstance(request, dict) else {}))
        self._apply(acts)
        log.info("fault_pressed", fault=fault, connections=pressed.connections, at_s=now_s)
        return pressed

    def state(self) -> SimulatorState:
        """Return everything that may be shown."""
        now_s = self._now_s
        market = MarketState(
            at_s=now_s,
            rate=self._venue.rate(now_s),
            events=self._market.events,
            pending_bars=self._market.pending_bars,
            skipped_s=self._pacer.skipped_s,
        )
        connections = [
            describe_connection(session, now_s, self._sockets[session.number].unsent_bytes)
            for session in self._venue.sessions.values()
        ]
        return describe(
            self.config, market, self._venue.counters, connections, self._instruments.values(), self._presses
        )

    # -- client_socket.Desk ------------------------------------------------------------------------------------------

    def welcome(self, socket: ClientSocket) -> int:
        """Open a session for a socket whose handshake is done."""
        session, acts = self._venue.open(self._now_s)
        self._sockets[session.number] = socket
        self._apply(acts)
        return session.number

    def receive(self, number: int, message: bytes) -> None:
        """Pass on one message of a client."""
        self._apply(self._venue.receive(number, message, self._now_s))

    def deaf(self, number: int) -> bool:
        """Whether the connection is stalled."""
        session = self._venue.sessions.get(number)
        return session is not None and session.stalled(self._now_s)

    def goodbye(self, number: int) -> None:
        """Forget a connection that has ended."""
        self._sockets.pop(number, None)
        self._venue.leave(number)

    # -- time --------------------------------------------------------------------------------------------------------

    @property
    def _now_s(self) -> float:
        return self._market.elapsed_ms / 1_000

    async def _run(self) -> None:
        try:
            await self._pass_time()
        except Exception:
            # A simulator whose time stands still must not look like a quiet market.
            log.exception("simulator_loop_died", at_s=self._now_s)
            raise

    async def _pass_time(self) -> None:
        clock, pacer = self._clock, self._pacer
        self._wall_ms = self._aligned_wall_ms()
        while True:
            due = pacer.due(clock.monotonic())
            behind_ms = due * QUANTUM_MS
            if abs(self._aligned_wall_ms() - behind_ms - self._wall_ms) > MAX_DRIFT_MS:
                self._wall_ms = self._aligned_wall_ms() - behind_ms
            for _ in range(min(due, QUANTA_PER_TURN)):
                self._pass_quantum()
                pacer.advance()
            await clock.sleep(pacer.delay_s(clock.monotonic()))

    def _pass_quantum(self) -> None:
        self._market.advance(self._wall_ms, self._venue.rate(self._now_s))
        self._wall_ms += QUANTUM_MS
        now_s = self._now_s
        while self._script and self._script[0].at_s <= now_s:
            self._press_scripted(self._script.popleft())
        for session in list(self._venue.sessions.values()):
            socket = self._sockets[session.number]
            for frame in session.take_frames(now_s, self.config.max_frame_events):
                if socket.unsent_bytes + len(frame) > self.config.max_buffer_bytes:
                    self._apply(self._venue.slow_consumer(session, now_s))
                    break
                socket.push(frame)
                session.note_sent(len(frame))
        self._apply(self._venue.expire(now_s))

    def _press_scripted(self, press: ScriptedPress) -> None:
        try:
            self.press(press.fault, press.request)
        except RequestError as exc:
            # A script cannot know who is connected; what it could not do is said, and time goes on.
            log.warning("scripted_fault_failed", fault=press.fault, at_s=press.at_s, **exc.describe())

    def _apply(self, acts: Iterable[Act]) -> None:
        for act in acts:
            socket = self._sockets.get(act.session)
            if socket is None:
                continue
            if isinstance(act, Push):
                socket.push(act.payload, binary=act.binary)
                self._venue.sessions[act.session].note_sent(len(act.payload))
            elif isinstance(act, Close):
                socket.close(act.code, act.reason)
            else:
                socket.drop(flush=act.flush)

    def _route(self, request: WSUpgradeRequest) -> WSListener | WSUpgradeResponseWithListener | None:
        if request.path.decode("latin-1").partition("?")[0] != PATH:
            return None  # picows answers 404
        status = self._venue.refuse_handshake()
        if status is None:
            return ClientSocket(self)
        refusal = WSUpgradeResponse.create_error_response(status, b"refused by a pressed fault")
        return WSUpgradeResponseWithListener(refusal, None)

    def _aligned_wall_ms(self) -> int:
        return int(self._clock.time() * 1_000) // QUANTUM_MS * QUANTUM_MS

    def _chance(self, name: str) -> Draw:
        # Reproducible on purpose; nothing here guards anything.
        return random.Random(f"{self.config.seed}:{name}").random  # noqa: S311
