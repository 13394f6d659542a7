"""The nodes as one: who else is there, and a question to all of them at once.

Each node says every two seconds that it lives and how it reaches the broker. A question goes to all; the answer is what
came in time, with every node that lives or may live and did not answer: an answer that lacks a node says so. A node is
one life of a process; its name is what the operator called it, and several lives may have the same (workers, an old and
a new process during a rolling restart). It must not know rooms, connections or pages.
Source: contract.md section 6 (``/api/v1/admin/connections``); reliability.md 4, "Server".
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from tidewire.bus.base import Bus, BusStatus
from tidewire.bus.listening import Listening
from tidewire.bus.rounds import Rounds
from tidewire.core.clock import Clock
from tidewire.core.errors import BusError
from tidewire.core.unreadable import UNREADABLE
from tidewire.core.watched_loop import WatchedLoop
from tidewire.hub.node_info import NodeInfo, NodeShown, Reach, Silent

CHANNEL = "tidewire:nodes"
BEAT_EVERY_S = 2.0
# Three beats: one may be lost, one may be late.
SILENT_AFTER_S = 6.0
# A client leaves a node that has been silent for a heartbeat and its deadline (25 + 10 s); after this none is there.
GONE_AFTER_S = 60.0
# Nodes answer from memory in milliseconds; a loop that stalls longer than this is itself the news.
ANSWER_WITHIN_S = 2.0

Handler = Callable[[bytes], bytes]


class _Ask(msgspec.Struct, frozen=True, tag="ask", tag_field="type"):
    node: str
    id: str
    what: str
    payload: bytes = b""


class _Answer(msgspec.Struct, frozen=True, tag="answer", tag_field="type"):
    node: str
    to: str
    id: str
    payload: bytes = b""
    understood: bool = True


@dataclass(frozen=True, slots=True)
class Reply:
    """What one node answered."""

    node: str
    instance: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Replies:
    """What all nodes answered, this one first.

    Attributes:
        silent: Who did not.
        cut_off: Why this node hears no other one at all; empty if it does.
    """

    answers: list[Reply]
    silent: list[Silent]
    cut_off: str

    @property
    def complete(self) -> bool:
        """Whether every node that there may be has answered."""
        return not self.silent and not self.cut_off


@dataclass(slots=True)
class _Question:
    waits_for: set[str]
    enough: Callable[[bytes], bool]
    answers: list[_Answer] = field(default_factory=list)
    done: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, answer: _Answer) -> None:
        self.answers.append(answer)
        self.waits_for.discard(answer.node)
        if not self.waits_for or (answer.understood and self.enough(answer.payload)):
            self.done.set()


_decode = msgspec.msgpack.Decoder(NodeInfo | _Ask | _Answer).decode
_encode = msgspec.msgpack.Encoder().encode


class Nodes:
    """See the module's text.

    Args:
        name: What the operator calls this node.
        count: How many connections this node has.
        reach: How it reaches what nodes share.
        instance: What no other life of this or any other node is called.

    Attributes:
        handlers: Question -> what this node answers; set before ``start``. A handler does not wait, and raises
            nothing but msgspec.DecodeError.
    """

    def __init__(
        self,
        bus: Bus,
        clock: Clock,
        name: str,
        *,
        count: Callable[[], int],
        reach: Callable[[], Mapping[str, Reach]] = dict,
        instance: str | None = None,
        answer_within_s: float = ANSWER_WITHIN_S,
    ) -> None:
        self.name = name
        self.node = instance or f"{name}:{secrets.token_hex(4)}"
        self.handlers: dict[str, Handler] = {}
        self._bus = bus
        self._clock = clock
        self._count = count
        self._reach = reach
        self._answer_within_s = answer_within_s
        self._started_at = clock.time()
        self._seen: dict[str, tuple[float, NodeInfo]] = {}
        self._asked: dict[str, _Question] = {}
        # Who was asked, did not answer in time, and has not been heard since.
        self._mute: set[str] = set()
        loop = WatchedLoop("nodes", BEAT_EVERY_S, self._beat, clock)
        self.rounds = Rounds(loop, Listening(bus, {CHANNEL: self._receive}, state=self._bus_changed))
        self.malformed = 0
        self.unsent = 0
        self.incomplete = 0

    async def start(self) -> None:
        """Say that this node is there, and listen to the others."""
        self.rounds.start()
        self._hello()

    async def stop(self) -> None:
        """Say goodbye. Idempotent."""
        there = self.rounds.listening.on
        await self.rounds.stop()
        if there:
            self._say(NodeInfo(self.node, self.name, 0, leaving=True))

    def living(self) -> list[NodeInfo]:
        """Return the nodes that have been heard of in the last six seconds, this one first."""
        return [self._self(), *(info for at, info in self._known() if not self._overdue(at))]

    def overdue(self) -> list[Silent]:
        """Return the nodes that were here a minute ago, have not said goodbye, and are not heard any more."""
        return [self._silent(info.node, "overdue") for at, info in self._known() if self._overdue(at)]

    def known(self) -> tuple[set[str], list[str]]:
        """Return the instances that live, this one too, and the names of nodes that are not heard."""
        silent_since, living, silent = self._clock.monotonic() - SILENT_AFTER_S, {self.node}, list[str]()
        deaf = not self._bus.reaches(CHANNEL)
        for at, info in self._known():
            if at < silent_since and not deaf:
                silent.append(info.name)
            else:
                living.add(info.node)
        return living, sorted(silent)

    def shown(self) -> list[NodeShown]:
        """Return every node that lives or is overdue, this one first."""
        mono, wall = self._clock.monotonic(), self._clock.time()
        heard = [(mono, self._self(), False), *((at, info, self._overdue(at)) for at, info in self._known())]
        return [
            NodeShown(
                node=info.name,
                instance=info.node,
                this=info.node == self.node,
                connections=info.connections,
                started_at=info.started_at,
                heard_at=wall - (mono - at),
                overdue=overdue,
                reach=info.reach,
            )
            for at, info, overdue in heard
        ]

    async def ask(
        self,
        what: str,
        payload: bytes = b"",
        *,
        enough: Callable[[bytes], bool] = lambda _: False,
        patient: bool = True,
    ) -> Replies:
        """Ask every node, this one included, and return what came in time.

        Args:
            what: One of ``handlers``.
            enough: Whether an answer is all that is wanted, so that nobody else need be waited for.
            patient: Also wait for nodes that left the last question unanswered and have not been heard since.
        """
        mine = Reply(self.name, self.node, self.handlers[what](payload))
        if enough(mine.payload):
            return Replies([mine], [], "")
        known = {info.node: info.name for _, info in self._known()}
        living = {info.node for info in self.living()[1:]}
        question = _Question(living if patient else living - self._mute, enough)
        number = secrets.token_hex(8)
        self._asked[number] = question
        try:
            if self._say(_Ask(self.node, number, what, payload)) and question.waits_for:
                async with asyncio.timeout(self._answer_within_s):
                    await question.done.wait()
        except TimeoutError:
            self._mute |= question.waits_for
        finally:
            del self._asked[number]
        return self._replies(mine, question, known, living)

    def statistics(self) -> dict[str, int]:
        """Return counters, and how many nodes live."""
        return {
            "living": len(self.living()),
            "overdue": len(self.overdue()),
            "questions": len(self._asked),
            "malformed": self.malformed,
            "unsent": self.unsent,
            "incomplete": self.incomplete,
        }

    # ---- inside

    def _replies(self, mine: Reply, question: _Question, known: Mapping[str, str], living: set[str]) -> Replies:
        good = {each.node: each for each in question.answers if each.understood}
        answers = [Reply(known.get(node, node.rpartition(":")[0]), node, each.payload) for node, each in good.items()]
        if any(question.enough(each.payload) for each in answers):
            return Replies([mine, *answers], [], "")
        strange = [each.node for each in question.answers if not each.understood]
        missing = living.difference(good, strange)
        silent = [self._silent(node, "no_answer") for node in missing]
        silent += [self._silent(node, "other_version") for node in strange]
        silent += [each for each in self.overdue() if each.instance not in missing.union(good)]
        status = self._bus.status()
        cut_off = "" if self._bus.reaches(CHANNEL) else f"the bus is down: {status.reason}"
        self.incomplete += bool(silent or cut_off)
        return Replies([mine, *answers], sorted(silent, key=lambda each: each.instance), cut_off)

    def _silent(self, node: str, why: Literal["no_answer", "overdue", "other_version"]) -> Silent:
        at, info = self._seen.get(node, (self._clock.monotonic(), None))
        name = info.name if info is not None else node.rpartition(":")[0]
        return Silent(node=name, instance=node, why=why, heard_s_ago=round(self._clock.monotonic() - at, 1))

    def _known(self) -> list[tuple[float, NodeInfo]]:
        # While nothing can be heard nobody is counted as gone: this node is the one that is cut off.
        if self._bus.status().state != "down":
            now = self._clock.monotonic()
            for node, (at, _) in list(self._seen.items()):
                if now - at > GONE_AFTER_S:
                    del self._seen[node]
                    self._mute.discard(node)
        return list(self._seen.values())

    def _overdue(self, at: float) -> bool:
        return self._bus.status().state != "down" and self._clock.monotonic() - at > SILENT_AFTER_S

    def _self(self) -> NodeInfo:
        return NodeInfo(self.node, self.name, self._count(), started_at=self._started_at, reach=dict(self._reach()))

    def _hello(self) -> None:
        self._beat()
        # Whoever is there already says so, instead of being unknown for two seconds.
        self._say(_Ask(self.node, "", "hello"))

    def _bus_changed(self, status: BusStatus) -> None:
        if status.state != "down":
            # Nobody could be heard meanwhile: whoever was there counts as there until it has had time to say so.
            now = self._clock.monotonic()
            self._seen = {node: (max(at, now - BEAT_EVERY_S), info) for node, (at, info) in self._seen.items()}
            self._hello()

    def _beat(self) -> None:
        self._say(self._self())

    def _say(self, message: NodeInfo | _Ask | _Answer) -> bool:
        try:
            self._bus.publish(CHANNEL, [_encode(message)])
        except BusError:
            self.unsent += 1
            return False
        return True

    def _receive(self, _: str, payloads: Sequence[bytes]) -> None:
        for payload in payloads:
            try:
                message = _decode(payload)
            except UNREADABLE:
                self.malformed += 1
                continue
            if message.node == self.node:
                continue
            if isinstance(message, NodeInfo):
                self._hear(message)
            elif isinstance(message, _Ask):
                self._answer(message)
            elif message.to == self.node:
                self._mute.discard(message.node)
                if message.id in self._asked:
                    self._asked[message.id].take(message)

    def _hear(self, info: NodeInfo) -> None:
        self._mute.discard(info.node)
        if info.leaving:
            self._seen.pop(info.node, None)
        else:
            self._seen[info.node] = (self._clock.monotonic(), info)

    def _answer(self, ask: _Ask) -> None:
        if not ask.id:
            self._beat()
            return
        try:
            payload = self.handlers[ask.what](ask.payload)
        except (KeyError, *UNREADABLE):
            # Asked by a version that knows more than this one.
            self._say(_Answer(self.node, ask.node, ask.id, understood=False))
        else:
            self._say(_Answer(self.node, ask.node, ask.id, payload))
