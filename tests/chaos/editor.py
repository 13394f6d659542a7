"""A person who edits one quote in a tab of their own, and sends each edit again until its outcome is known.

The same ``op_id`` goes out after every lost connection, every refusal that is temporary, sometimes twice at once, and
sometimes once more after the answer. Each edit is over before the next begins. It knows no faults.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.follower import Choose, Sightings
from tests.chaos.viewer import Told, Viewer
from tests.chaos.wire import Message as Said
from tests.chaos.wire import Wire
from tests.support.edit_checker import Answer, Edit, Held

# Who waits longer is told so here; the bar for an answer is 2 s.
ANSWER_S = 10.0
# Before the same is sent again, if the server names no time.
AGAIN_S = 0.1
# Of a hundred edits: sent twice at once, cut off right after sending, sent again after the answer, on an old revision.
TWICE, CUT, ONCE_MORE, OLD = 10, 5, 5, 5


@dataclass
class EditLedger:
    """What all editors of a run asked and were told.

    Attributes:
        answers: Seconds to the answer of each sending that was answered, and its code.
        unknown: Sendings without an answer, by cause.
        again: Sendings of an edit after its first.
        repeated: Answers that said so.
        rush: While it is set, everybody edits as fast as answers come.
    """

    edits: list[Edit] = field(default_factory=list)
    answers: list[tuple[float, str]] = field(default_factory=list)
    unknown: Counter[str] = field(default_factory=Counter)
    again: int = 0
    repeated: int = 0
    acknowledged: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    rush: asyncio.Event = field(default_factory=asyncio.Event)
    wrong: list[str] = field(default_factory=list)

    async def wait(self, count: int) -> None:
        """Return when so many edits are acknowledged."""
        while self.acknowledged < count:
            self.changed.clear()
            await self.changed.wait()


class Editor(Viewer):
    """See the module's text.

    Args:
        user: Whose tab it is.
        fields: What it edits.
    """

    def __init__(
        self,
        name: str,
        user: str,
        quote_id: str,
        fields: Sequence[str],
        headers: Callable[[int], Mapping[str, str]],
        choose: Choose,
        chance: random.Random,
        seen: Sightings,
        told: Told,
        ledger: EditLedger,
    ) -> None:
        super().__init__(name, quote_id, headers, choose, chance, seen, told)
        self._user = user
        self._fields = fields
        self._ledger = ledger
        self._ready = asyncio.Event()
        self._replies: dict[str, asyncio.Future[Said]] = {}
        # What a conflict has told of a field, if the tab does not show it yet.
        self._known: dict[str, int] = {}
        self._count = 0

    async def edit(self, every_s: float) -> None:
        """Edit until cancelled; after a wait it catches up a little. The outcome of the last edit may stay unknown."""
        loop = asyncio.get_running_loop()
        due = loop.time() + self._chance.uniform(0.0, every_s)
        await asyncio.sleep(due - loop.time())
        while True:
            await self._edit()
            due += every_s
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(due - loop.time(), every_s / 2)):
                    await self._ledger.rush.wait()

    async def _edit(self) -> None:
        await self._ready.wait()
        self._count += 1
        name = self._chance.choice(self._fields)
        shown = self.page.fields.get(name, {"revision": 0})["revision"]
        base = max(shown, self._known.get(name, 0))
        if self._chance.randrange(100) < OLD:
            base = max(0, base - 1)
        words, op_id = f"{self.name} {self._count}", f"{self.name}-{self._count}"
        answers: list[Answer] = []
        wanted = Edit(self.name, self._user, op_id, self.page.quote_id, name, words, base, answers)
        self._ledger.edits.append(wanted)
        while True:
            answers += await self._send(wanted, 2 if self._chance.randrange(100) < TWICE else 1)
            if answers:
                break
            self._ledger.again += 1
        if self._chance.randrange(100) < ONCE_MORE:
            answers += await self._send(wanted, 1)
        self._over(wanted)

    def _over(self, edit: Edit) -> None:
        held = edit.answers[-1].held
        if held is not None:
            self._known[edit.field] = held.revision
        if edit.answers[0].code == "ok":
            self._ledger.acknowledged += 1
            self._ledger.changed.set()

    async def _send(self, edit: Edit, times: int) -> list[Answer]:
        """Send an edit so many times at once; return the final answers that have come."""
        await self._ready.wait()
        loop, wire = asyncio.get_running_loop(), self._wire
        assert wire is not None
        waiting = []
        for _ in range(times):
            name = f"{edit.op_id}/{len(self._replies)}"
            waiting.append(self._replies.setdefault(name, loop.create_future()))
            wire.say(
                "field_edit",
                id=name,
                quote_id=edit.quote_id,
                field=edit.field,
                value=edit.value,
                base_revision=edit.base,
                op_id=edit.op_id,
            )
        if self._chance.randrange(100) < CUT:
            # The edit may be anywhere by now; who comes back may come to another node.
            loop.call_later(self._chance.uniform(0.0, 0.02), self._cut, wire)
        sent = loop.time()
        await asyncio.wait(waiting, timeout=ANSWER_S)
        found = [self._outcome(each, sent) for each in waiting]
        if not all(each.done() for each in waiting):
            wire.cut()
        self._replies.clear()
        if not any(found):
            await asyncio.sleep(max(self._patience(waiting), AGAIN_S))
        return [answer for answer in found if answer is not None]

    def _cut(self, wire: Wire) -> None:
        if wire is self._wire:
            self.hop()

    def _outcome(self, reply: asyncio.Future[Said], sent: float) -> Answer | None:
        if not reply.done():
            self._ledger.unknown["no answer in time"] += 1
            return None
        if reply.cancelled():
            self._ledger.unknown["the socket ended"] += 1
            return None
        said = reply.result()
        code = "ok" if said["ok"] else str(said["error"]["code"])
        self._ledger.answers.append((said["came"] - sent, code))
        if said["ok"]:
            data = said["data"]
            self._ledger.repeated += data["repeated"]
            return Answer("ok", data["version"], Held(data["value"], data["revision"], None, None))
        if said["error"]["temporary"]:
            return None
        return Answer(code, *_present(said["error"].get("details") or {}))

    def _patience(self, replies: Sequence[asyncio.Future[Said]]) -> float:
        """Seconds that the server asks to wait."""
        said = [each.result() for each in replies if each.done() and not each.cancelled()]
        return max((each["error"].get("retry_after_ms") or 0 for each in said), default=0) / 1000

    # ---- the socket

    def _answer(self, wire: Wire, said: Said) -> None:
        reply = self._replies.get(str(said["id"]))
        if reply is None:
            if "/" not in str(said["id"]):
                super()._answer(wire, said)
        elif reply.done():
            self._ledger.wrong.append(f"answered twice: {said}")
        else:
            reply.set_result({**said, "came": asyncio.get_running_loop().time()})

    def _end(self, wire: Wire) -> None:
        if wire is self._wire:
            self._ready.clear()
            for reply in self._replies.values():
                reply.cancel()
        super()._end(wire)

    def _hear(self, wire: Wire, kind: str, said: Said) -> None:
        super()._hear(wire, kind, said)
        if self.inside and self.page.ready:
            self._ready.set()
        else:
            self._ready.clear()


def _present(details: Mapping[str, Any]) -> tuple[int, Held | None]:
    if "revision" not in details:
        return 0, None
    return details["version"], Held(details["value"], details["revision"], details["by"], details["at"])
