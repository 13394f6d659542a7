"""The rooms of one client: which are asked for, entered, being left; and what a message means for which. Pure.

It must not know sockets or pace. A room that is being left is deaf until the server has confirmed, so that nothing of
an earlier stay is taken for the present one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tidewire.client.event import Action, Deliver, Failure, Json, RoomEnded, RoomEntered, RoomEvent
from tidewire.client.track import Phase, Track
from tidewire.core import protocol
from tidewire.core.protocol import Since

# A room that was refused for now and without a hint is asked for again after this.
RETRY_MS = 1_000


class Rooms:
    """See the module's text. Every room of the program is in here until it ends."""

    def __init__(self) -> None:
        self._tracks: dict[str, Track] = {}
        self._wanted: dict[str, None] = {}
        self._asked: dict[int, str] = {}
        self._leaving: dict[str, int] = {}
        # The server enters this one by itself, once per connection; its answer is not the answer to ours.
        self._automatic: str | None = None
        self._gaps = 0

    def __contains__(self, room_id: str) -> bool:
        return room_id in self._tracks

    def get(self, room_id: str) -> Track | None:
        """Return the room if the program is in it."""
        return self._tracks.get(room_id)

    def add(self, room_id: str, since: Since | None, presence: bool) -> None:
        """Want a room."""
        self._tracks[room_id] = Track(room_id, since=since, presence=presence)
        self._wanted[room_id] = None

    def remove(self, room_id: str) -> bool:
        """Forget a room; True if the server must be told."""
        track = self._tracks.pop(room_id, None)
        self._wanted.pop(room_id, None)
        return track is not None and track.phase in (Phase.ASKED, Phase.ENTERED)

    def left(self, room_id: str, message_id: int) -> None:
        """An ``unsubscribe`` with this id has been sent."""
        self._leaving[room_id] = message_id

    def pause(self, room_id: str) -> bool:
        """The consumer is behind; True if the server must be told now."""
        track = self._tracks.get(room_id)
        if track is None or track.phase is Phase.PAUSED:
            return False
        # A replay is bounded by the server's memory, and leaving in the middle would only make it begin again.
        if track.phase is not Phase.ENTERED or track.replaying:
            track.lagging = True
            return False
        track.lagging = False
        track.phase = Phase.PAUSED
        return True

    def resume(self, room_id: str) -> None:
        """The consumer has caught up."""
        track = self._tracks.get(room_id)
        if track is None:
            return
        track.lagging = False
        if track.phase is Phase.PAUSED:
            track.phase = Phase.WANTED
            self._wanted[room_id] = None

    def next_wanted(self, now_ms: int) -> Track | None:
        """Return a room that may be asked for now."""
        for room_id in self._wanted:
            track = self._tracks[room_id]
            if room_id not in self._leaving and track.retry_at_ms <= now_ms:
                return track
        return None

    def due_ms(self) -> int | None:
        """Return when a room that was refused for now may be asked for again."""
        times = [self._tracks[room_id].retry_at_ms for room_id in self._wanted if room_id not in self._leaving]
        return min(times, default=None)

    def ask(self, track: Track, message_id: int) -> dict[str, Json]:
        """Return the subscribe of a room and count it as sent."""
        del self._wanted[track.room_id]
        track.phase = Phase.ASKED
        self._asked[message_id] = track.room_id
        message: dict[str, Json] = {"type": "subscribe", "id": message_id, "room_id": track.room_id}
        if track.since is not None:
            message["since"] = {"epoch": track.since.epoch, "offset": track.since.offset}
        if track.presence:
            message["presence"] = True
        return message

    def begin(self, automatic: str | None) -> None:
        """A connection is up; ``automatic`` is the room that the server enters by itself."""
        self._automatic = automatic

    def lost(self) -> None:
        """The connection is gone: everything must be asked for again, in the order the program came in."""
        self._asked.clear()
        self._leaving.clear()
        for room_id, track in self._tracks.items():
            track.want()
            track.retry_at_ms = 0
            if track.phase is Phase.WANTED:
                self._wanted[room_id] = None

    def forget(self) -> None:
        """What was delivered is no longer true."""
        for track in self._tracks.values():
            track.forget()

    def end(self, failure: Failure | None) -> Iterator[RoomEnded]:
        """There will be no connection any more."""
        tracks, self._tracks = self._tracks, {}
        self._wanted.clear()
        for room_id in tracks:
            yield RoomEnded(room_id, failure)

    def statistics(self) -> dict[str, int]:
        """Return how many rooms there are and how many are entered, and how many gaps were healed since the start."""
        entered = sum(track.phase is Phase.ENTERED for track in self._tracks.values())
        return {"rooms": len(self._tracks), "entered": entered, "gaps": self._gaps}

    # ---- what came from the server

    def reply(self, message_id: int, failure: Failure | None, now_ms: int) -> tuple[bool, list[Action]]:
        """Apply a reply; the first value is whether it answered something of ours."""
        for room_id, leaving_id in self._leaving.items():
            if leaving_id == message_id:
                del self._leaving[room_id]
                return True, []
        asked = self._asked.pop(message_id, None)
        if asked is None:
            return False, []
        track = self._tracks.get(asked)
        if track is None or failure is None or track.phase is not Phase.ASKED:
            return True, []
        if failure.temporary:
            track.phase = Phase.WANTED
            track.retry_at_ms = now_ms + (failure.retry_after_ms or RETRY_MS)
            self._wanted[asked] = None
            return True, []
        del self._tracks[asked]
        return True, [RoomEnded(asked, failure)]

    def subscribed(self, answer: protocol.Subscribed) -> list[Action]:
        """Apply the answer to a subscribe. Raises FrameFault."""
        if answer.room_id == self._automatic:
            self._automatic = None
            return []
        track = self._heard(answer.room_id)
        if track is None or track.phase is not Phase.ASKED:
            return []
        events = track.subscribed(answer)
        return [RoomEntered(answer.room_id, answer.recovered, answer.epoch, answer.offset), *_deliver(events)]

    def message(self, room_id: str, body: Mapping[str, Json]) -> list[Action]:
        """Apply a message of a room. Raises FrameFault."""
        track = self._heard(room_id)
        return [] if track is None else _deliver(track.message(body))

    def presence(self, event: protocol.RoomEvent) -> list[Action]:
        """Apply a change of who is in a room."""
        track = self._heard(event.room_id)
        return [] if track is None else _deliver(track.presence_event(event))

    def gap(self, gap: protocol.Gap) -> None:
        """Apply a gap: ask for the room again, from what was delivered last. Raises nothing."""
        track = self._heard(gap.room_id)
        if track is not None and track.phase is Phase.ENTERED:
            self._gaps += 1
            track.want()
            self._wanted[gap.room_id] = None

    def unsubscribed(self, left: protocol.Unsubscribed) -> list[Action]:
        """Apply that the server took us out of a room."""
        track = self._heard(left.room_id)
        if track is None or left.reason == "requested":
            return []
        self.remove(left.room_id)
        return [RoomEnded(left.room_id, Failure(left.reason, left.message or "The server took the room away."))]

    def to_pause(self, room_id: str) -> bool:
        """Whether a room may now be left for a consumer that fell behind during a replay."""
        track = self._tracks.get(room_id)
        return track is not None and track.lagging and track.phase is Phase.ENTERED and not track.replaying

    def _heard(self, room_id: str) -> Track | None:
        return None if room_id in self._leaving else self._tracks.get(room_id)


def _deliver(events: list[RoomEvent]) -> list[Action]:
    return [Deliver(event) for event in events]
