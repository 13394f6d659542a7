"""The fault menu: what each press does to the venue. Pure; every press is answered with what was done, or an error.

It must not know HTTP: a press comes in as a name and an object, wherever it was pressed.
Source: feed-protocol.md 1.9.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from tidewire.core.errors import Conflict, NotFound
from tidewire.feed.simulator import wire
from tidewire.feed.simulator.instrument import Instrument
from tidewire.feed.simulator.press import Press, Pressed, read_press
from tidewire.feed.simulator.session import Session, Stage
from tidewire.feed.simulator.venue import Act, Push, Venue

# The whole frame of each variant of ``malformed``.
MALFORMED: Mapping[str, bytes] = {
    "truncated": b'[{"ev":"T","sym":"AAPL","p":130.3',
    "no_ev": b'[{"sym":"AAPL","p":130.31,"s":100}]',
    "wrong_type": b'[{"ev":"T","sym":"AAPL","x":4.0,"i":17,"z":"3","p":"a lot","s":null,"t":"now","q":12.0}]',
    "not_objects": b'[1,"T",null,[]]',
    "invalid_utf8": b'[{"ev":"T","sym":"\xff\xfe","p":1}]',
    "binary": b"\x00\x01\x02\x03",
}
NON_ARRAY = b'{"ev":"T","sym":"AAPL","x":4,"i":"1","z":3,"p":130.31,"s":100,"t":1705853696123,"q":1}'
UNKNOWN_EVENT = b'[{"ev":"ZZ","sym":"AAPL","p":130.31,"t":1705853696123}]'
# The size of a corrected bar's late trade, shares.
LATE_TRADE = 100


_Effect = Callable[[Venue, list[Session], Press, float], tuple[str, list[Act]]]


class FaultBoard:
    """Presses faults on one venue.

    Args:
        venue: Whom they befall.
        instruments: By symbol, for bars that are sent again.
    """

    def __init__(self, venue: Venue, instruments: Mapping[str, Instrument]) -> None:
        self._venue = venue
        self._instruments = instruments

    def press(self, fault: str, request: object, now_s: float) -> tuple[Pressed, list[Act]]:
        """Do it.

        Args:
            fault: Name.
            request: JSON object with the fields of Press.
            now_s: Market seconds.

        Raises:
            NotFound: No such fault, or no such connection.
            InvalidRequest: A field is unknown, of the wrong type, or absurd.
            Conflict: The fault needs something that has not happened yet.
        """
        effect = EFFECTS.get(fault)
        everybody = VENUE_EFFECTS.get(fault)
        if effect is None and everybody is None and fault != "resend_bar":
            raise NotFound(
                f"There is no fault named {fault[:40]!r}.",
                required_action=f"Press one of: {', '.join(FAULTS)}.",
                will_not="The simulator will not press the nearest one instead.",
                code="unknown_fault",
            )
        wanted = read_press(request)
        if everybody is not None:
            done, until_s = everybody(self._venue, wanted, now_s)
            return Pressed(fault, [], done, now_s, until_s), []
        sessions = self._targets(wanted)
        done, acts = (
            self._resend_bar(sessions, wanted) if effect is None else effect(self._venue, sessions, wanted, now_s)
        )
        lasting = fault in ("mute", "stall") and wanted.seconds is not None
        return Pressed(
            fault, [s.number for s in sessions], done, now_s, wanted.until_s(now_s) if lasting else None
        ), acts

    def _targets(self, press: Press) -> list[Session]:
        live = [s for s in self._venue.sessions.values() if s.stage is not Stage.CLOSING]
        chosen = live if press.connection == "all" else [s for s in live if s.number == press.connection]
        if not chosen:
            missing = "no connection is open" if press.connection == "all" else f"no connection {press.connection}"
            raise NotFound(
                f"There is {missing}.",
                required_action="Connect a client, or give one of the numbers that GET /state lists.",
                will_not="The simulator will not keep the press for a later connection.",
                code="unknown_connection",
            )
        return chosen

    def _resend_bar(self, sessions: list[Session], press: Press) -> tuple[str, list[Act]]:
        acts: list[Act] = []
        for session in sessions:
            bars = [
                (b'"ev":"AM"' in bar, _start_ms(bar), bar)
                for symbol, instrument in self._instruments.items()
                if press.ticker in (None, symbol)
                for channel, bar in instrument.last_bar.items()
                if session.number in instrument.taps[channel]
            ]
            if bars:
                # The latest second bar if there is one, so that the result does not hang on the minute.
                newest = max(bars, key=lambda entry: (not entry[0], entry[1]))[2]
                acts.append(Push(session.number, wire.event_frame([correct_bar(newest)])))
        if not acts:
            raise _too_early("bar", "subscribe to A.* or AM.* and wait for a bar")
        return f"a bar was sent again with {LATE_TRADE} shares more", acts


def correct_bar(bar: bytes) -> bytes:
    """Return an encoded bar as it would be sent again after a late trade of LATE_TRADE shares at its close."""
    fields: dict[str, object] = msgspec.json.decode(bar)
    for plain, decimal in (("v", "dv"), ("av", "dav")):
        total = int(str(fields[plain])) + LATE_TRADE
        fields[plain], fields[decimal] = total, f"{total}.0"
    return msgspec.json.encode(fields)


class _Start(msgspec.Struct):
    s: int


def _start_ms(bar: bytes) -> int:
    return msgspec.json.decode(bar, type=_Start).s


def _too_early(what: str, how: str) -> Conflict:
    return Conflict(
        f"No {what} has been sent to the connection yet.",
        required_action=f"First {how}, then press again.",
        will_not=f"The simulator will not make up a {what}.",
        code="too_early",
    )


# -- effects on connections --------------------------------------------------------------------------------------------


def _drop(venue: Venue, sessions: list[Session], press: Press, now_s: float) -> tuple[str, list[Act]]:
    return "TCP was cut without a close frame", [venue.drop(s, now_s) for s in sessions]


def _mute(venue: Venue, sessions: list[Session], press: Press, now_s: float) -> tuple[str, list[Act]]:
    for session in sessions:
        session.hush(press.until_s(now_s))
    return "nothing is sent any more, but pings are answered", []


def _stall(venue: Venue, sessions: list[Session], press: Press, now_s: float) -> tuple[str, list[Act]]:
    for session in sessions:
        session.hush(press.until_s(now_s), stalled=True)
    return "nothing is sent or read any more, and pings are not answered", []


def _unmute(venue: Venue, sessions: list[Session], press: Press, now_s: float) -> tuple[str, list[Act]]:
    for session in sessions:
        session.unhush()
    return "data flows again; what was made meanwhile is lost", []


def _malformed(venue: Venue, sessions: list[Session], press: Press, now_s: float) -> tuple[str, list[Act]]:
    frame, binary = MALFORMED[press.variant], press.variant == "binary"
    return f"a malformed frame was sent ({press.variant})", [Push(s.number, frame, binary) for s in sessions]


def _oversized(venue: Venue, sessions: list[Session], press: Press, now_s: float) -> tuple[str, list[Act]]:
    bare = len(wire.status_frame(("success", "")))
    frame = wire.status_frame(("success", "x" * (press.bytes - bare)))
    return f"a frame of {len(frame)} bytes was sent", [Push(s.number, frame) for s in sessions]


def _non_array(venue: Venue, sessions: list[Session], press: Press, now_s: float) -> tuple[str, list[Act]]:
    return "a JSON object was sent instead of an array", [Push(s.number, NON_ARRAY) for s in sessions]


def _unknown_event(venue: Venue, sessions: list[Session], press: Press, now_s: float) -> tuple[str, list[Act]]:
    return "an event of the unknown type ZZ was sent", [Push(s.number, UNKNOWN_EVENT) for s in sessions]


def _duplicate(venue: Venue, sessions: list[Session], press: Press, now_s: float) -> tuple[str, list[Act]]:
    acts: list[Act] = [Push(s.number, s.last_frame) for s in sessions if s.last_frame]
    if not acts:
        raise _too_early("event", "subscribe and wait for data")
    return "the last frame of events was sent again", acts


def _out_of_order(venue: Venue, sessions: list[Session], press: Press, now_s: float) -> tuple[str, list[Act]]:
    for session in sessions:
        session.reorder = True
    return "the next events are held until a ticker has two of a kind, then sent in reverse order", []


def _max_connections(venue: Venue, sessions: list[Session], press: Press, now_s: float) -> tuple[str, list[Act]]:
    return "status max_connections was sent, then close 1008", [a for s in sessions for a in venue.evict(s, now_s)]


def _slow_consumer(venue: Venue, sessions: list[Session], press: Press, now_s: float) -> tuple[str, list[Act]]:
    status = (wire.SLOW_CONSUMER[0], press.message or wire.SLOW_CONSUMER[1])
    return _end_all(venue, sessions, status, press.code or 1008, now_s)


def _force_disconnect(venue: Venue, sessions: list[Session], press: Press, now_s: float) -> tuple[str, list[Act]]:
    status = (wire.FORCE_DISCONNECT[0], press.message or wire.FORCE_DISCONNECT[1])
    return _end_all(venue, sessions, status, press.code or 1008, now_s)


def _close(venue: Venue, sessions: list[Session], press: Press, now_s: float) -> tuple[str, list[Act]]:
    return _end_all(venue, sessions, None, press.code or 1011, now_s)


def _end_all(
    venue: Venue, sessions: list[Session], status: tuple[str, str] | None, code: int, now_s: float
) -> tuple[str, list[Act]]:
    done = f"closed with code {code}" if status is None else f"status {status[0]} was sent, then close {code}"
    return done, [act for session in sessions for act in venue.end(session, now_s, status, code)]


EFFECTS: Mapping[str, _Effect] = {
    "drop": _drop,
    "mute": _mute,
    "unmute": _unmute,
    "stall": _stall,
    "malformed": _malformed,
    "max_connections": _max_connections,
    "slow_consumer": _slow_consumer,
    "close": _close,
    "oversized": _oversized,
    "non_array": _non_array,
    "unknown_event": _unknown_event,
    "duplicate": _duplicate,
    "out_of_order": _out_of_order,
    "force_disconnect": _force_disconnect,
}


# -- effects on the whole venue ----------------------------------------------------------------------------------------


def _auth_failed(venue: Venue, press: Press, now_s: float) -> tuple[str, float | None]:
    venue.auths_to_fail = press.count
    return f"the next {press.count} authentications fail, whatever the key", None


def _refuse(venue: Venue, press: Press, now_s: float) -> tuple[str, float | None]:
    venue.handshakes_to_refuse, venue.refusal_status = press.count, press.status
    return f"the next {press.count} handshakes are refused with HTTP {press.status}", None


def _burst(venue: Venue, press: Press, now_s: float) -> tuple[str, float | None]:
    until_s = press.until_s(now_s, 5.0)
    venue.burst(press.factor, until_s)
    return f"the rate is {venue.rate(now_s)} events/s for a while", until_s


VENUE_EFFECTS: Mapping[str, Callable[[Venue, Press, float], tuple[str, float | None]]] = {
    "auth_failed": _auth_failed,
    "refuse": _refuse,
    "burst": _burst,
}
FAULTS = (*EFFECTS, "resend_bar", *VENUE_EFFECTS)
