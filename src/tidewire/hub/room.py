"""One room: its members, its place (epoch and offset), and the messages on their way out. Pure.

Publishing only notes the message; ``flush`` says who gets what, so that messages which arrive together leave together
and a member costs one write per flush. A member who joins between the two gets the earlier messages from history and
only the later ones live: nothing twice, nothing lost. It must not know what members are, or who may be one.
Source: architecture.md, "One port, two speeds"; contract.md section 5.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from tidewire.accounts.model import Principal
from tidewire.core.protocol import Delivery, Since, room_message
from tidewire.hub.history import History, Publication, Recovery

Member = TypeVar("Member", bound=Hashable)

EVERYBODY = ""


def one_audience(principal: Principal | None) -> str:
    """Everybody sees the same."""
    return EVERYBODY


@dataclass(frozen=True, slots=True)
class RoomRules:
    """What a family of rooms is like; ``app.py`` names one per prefix.

    Attributes:
        delivery: Class of the messages that carry offsets.
        history_messages, history_age_s, history_bytes: Bounds of what can be recovered.
        state_keys: In a ``latest`` room, for how many keys the newest message is kept for newcomers.
        presence: Whether who is inside may be asked.
        fed: Every node makes the messages of these rooms by itself, from what it hears on the bus; other rooms have one
            log for all nodes, if there are several.
        audiences: Every name that ``audience_of`` may return; each message is encoded once per audience.
        audience_of: Which variant of a message somebody gets.
    """

    delivery: Delivery = "lossless"
    history_messages: int = 1_000
    history_age_s: float = 300.0
    history_bytes: int = 1_048_576
    state_keys: int = 0
    presence: bool = False
    fed: bool = False
    audiences: tuple[str, ...] = (EVERYBODY,)
    audience_of: Callable[[Principal | None], str] = field(default=one_audience)


@dataclass(frozen=True, slots=True)
class Share(Generic[Member]):
    """The same messages for the same kind of member: one encoding, one subprotocol."""

    members: Collection[Member]
    audience: str
    batch: bool
    publications: Sequence[Publication]


# Every user has a room of their own that remembers nothing: one such history serves them all.
_NOTHING = History(max_messages=0, max_age_s=0.0, max_bytes=0, max_keys=0)


def _history(rules: RoomRules) -> History:
    if not rules.history_messages and not rules.state_keys:
        return _NOTHING
    return History(
        max_messages=rules.history_messages,
        max_age_s=rules.history_age_s,
        max_bytes=rules.history_bytes,
        max_keys=rules.state_keys,
    )


class Room(Generic[Member]):
    """See the module's text.

    Args:
        epoch: A name that no earlier life of this room had.

    Attributes:
        guided: Whether epoch and offsets are those of the messages' source, not this room's own.
        tap: Told of every message, while somebody traces the room.
    """

    __slots__ = (
        "_fresh",
        "_groups",
        "_pending",
        "_place",
        "epoch",
        "guided",
        "history",
        "offset",
        "pending_bytes",
        "published",
        "room_id",
        "rules",
        "tap",
    )

    def __init__(self, room_id: str, rules: RoomRules, epoch: str) -> None:
        self.room_id = room_id
        self.rules = rules
        self.epoch = epoch
        self.offset = 0
        self.guided = False
        self.tap: Callable[[Publication], None] | None = None
        self.history = _history(rules)
        self.published = 0
        self.pending_bytes = 0
        self._pending: list[Publication] = []
        self._groups: dict[tuple[str, bool], dict[Member, None]] = {}
        self._place: dict[Member, tuple[str, bool]] = {}
        # Members who joined after something pending was published: how many pending messages are not for them, and the
        # room's offset when they came.
        self._fresh: dict[Member, tuple[int, int]] = {}

    def __len__(self) -> int:
        return len(self._place)

    def __contains__(self, member: Member) -> bool:
        return member in self._place

    def __iter__(self) -> Iterator[Member]:
        return iter(self._place)

    @property
    def pending(self) -> int:
        """How many messages wait for the next flush."""
        return len(self._pending)

    def join(self, member: Member, *, audience: str, batch: bool, since: Since | None, now: float) -> Recovery:
        """Let ``member`` in (again, if it is inside) and return what it must get before anything live."""
        self.leave(member)
        group = (audience, batch)
        self._place[member] = group
        if self._pending:
            self._fresh[member] = (len(self._pending), self.offset)
        else:
            self._groups.setdefault(group, {})[member] = None
        return self._recover(since, audience, now)

    def leave(self, member: Member) -> bool:
        """Let ``member`` out; False if it was not inside."""
        group = self._place.pop(member, None)
        if group is None:
            return False
        if self._fresh.pop(member, None) is None:
            members = self._groups[group]
            del members[member]
            if not members:
                del self._groups[group]
        return True

    def sent_offset(self, member: Member) -> int:
        """Return the newest offset that has been given out to ``member``; the next flush begins after it."""
        if member in self._fresh:
            return self._fresh[member][1]
        return self.offset - sum(publication.offset is not None for publication in self._pending)

    def owed(self, member: Member) -> Share[Member]:
        """Return the pending messages of one member, for whoever is about to be moved or to leave in good order."""
        audience, batch = self._place[member]
        skipped = self._fresh[member][0] if member in self._fresh else 0
        return Share((member,), audience, batch, self._pending[skipped:])

    def publish(
        self,
        body: bytes | Mapping[str, bytes],
        *,
        kind: str,
        now: float,
        timestamp: float,
        delivery: Delivery | None = None,
        key: str | None = None,
    ) -> Publication:
        """Note a message; it has a place if its delivery class is the room's own and not volatile.

        Args:
            body: Members of the message as a JSON object: one for all, or one per audience.
            now: Monotonic seconds.
            timestamp: Unix seconds, as shown to clients.

        Raises:
            KeyError: An audience of the room has no body; nothing was published.
        """
        delivery = delivery or self.rules.delivery
        placed = delivery == self.rules.delivery and delivery != "volatile"
        offset = self.offset + 1 if placed else None
        return self._note(body, kind=kind, at=now, timestamp=timestamp, delivery=delivery, key=key, offset=offset)

    def receive(
        self, body: bytes | Mapping[str, bytes], *, kind: str, offset: int, at: float, timestamp: float, key: str | None
    ) -> Publication:
        """Note a message whose place was given elsewhere; it must be the next one of the room's epoch.

        Raises:
            KeyError: An audience of the room has no body; nothing was noted.
        """
        if offset != self.offset + 1:
            raise ValueError(f"offset {offset} does not follow {self.offset}")
        delivery = self.rules.delivery
        return self._note(body, kind=kind, at=at, timestamp=timestamp, delivery=delivery, key=key, offset=offset)

    def restart(self, epoch: str, offset: int) -> None:
        """Forget what was, and go on from this place; what is pending must have been flushed."""
        self.epoch, self.offset = epoch, offset
        self.history.forget()

    def _note(
        self,
        body: bytes | Mapping[str, bytes],
        *,
        kind: str,
        at: float,
        timestamp: float,
        delivery: Delivery,
        key: str | None,
        offset: int | None,
    ) -> Publication:
        encoded = {
            audience: room_message(
                kind,
                self.room_id,
                body if isinstance(body, bytes) else body[audience],
                timestamp=timestamp,
                epoch=self.epoch if offset is not None else None,
                offset=offset,
            )
            for audience in self.rules.audiences
        }
        publication = Publication(encoded, at, delivery, offset, key)
        if offset is not None:
            self.offset = offset
            self.history.append(publication)
        self.published += 1
        if self._place:
            self._pending.append(publication)
            self.pending_bytes += max(map(len, encoded.values()))
        if self.tap is not None:
            self.tap(publication)
        return publication

    def flush(self) -> list[Share[Member]]:
        """Return who gets which of the pending messages, and forget them."""
        pending, self._pending = self._pending, []
        self.pending_bytes = 0
        if not pending:
            return []
        shares = [Share(members, audience, batch, pending) for (audience, batch), members in self._groups.items()]
        for member, (skipped, _) in self._fresh.items():
            audience, batch = self._place[member]
            if skipped < len(pending):
                shares.append(Share((member,), audience, batch, pending[skipped:]))
        return shares

    def settle(self) -> None:
        """Make newcomers ordinary members; call it after the shares of a flush have been written."""
        for member in self._fresh:
            self._groups.setdefault(self._place[member], {})[member] = None
        self._fresh.clear()

    def idle(self, now: float) -> bool:
        """Whether nobody is inside and nothing is remembered, so that the room may be forgotten."""
        if self._place:
            return False
        self.history.trim(now)
        return self.history.empty

    def _recover(self, since: Since | None, audience: str, now: float) -> Recovery:
        if since is None:
            return self.history.anew(audience, "not_requested")
        if since.epoch != self.epoch:
            return self.history.anew(audience, "epoch_changed")
        return self.history.since(since.offset, newest_offset=self.offset, audience=audience, now=now)
