"""HTTP side of the hub: connection tokens, publishing with an API key, a room's history and who is in it.

The same rule book as for sockets decides (accounts/grants.py). It must not know how rooms work inside.
Source: contract.md section 6.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Header, Query, Request, Response

from tidewire.accounts.api_keys import ApiKeys
from tidewire.accounts.grants import Address, require_enter, require_publish, resolve
from tidewire.accounts.http import Callers
from tidewire.accounts.model import Principal
from tidewire.accounts.throttle import Throttle
from tidewire.accounts.tokens import ConnectionTokens
from tidewire.core.clock import Clock
from tidewire.core.errors import Forbidden, InvalidRequest, RateLimited
from tidewire.core.protocol import MAX_DEPTH, Member, RoomId, data_body
from tidewire.core.unreadable import UNREADABLE
from tidewire.hub.command import depth, normal_json
from tidewire.hub.hub import Hub
from tidewire.hub.room import EVERYBODY, RoomRules
from tidewire.web.idempotency import KEY_MAX_CHARS, Idempotency

# A key that publishes faster than this belongs on the bus, not on HTTP.
PUBLISH_BURST, PUBLISH_EVERY_S = 200, 0.01
# A page needs one token per connect; a storm of reconnects stays far below.
TOKEN_BURST, TOKEN_EVERY_S = 30, 1.0
HISTORY_MAX = 1_000


class PublishBody(msgspec.Struct, frozen=True):
    """What ``POST /api/v1/publish`` takes; unknown members are ignored."""

    room_id: RoomId
    data: msgspec.Raw
    volatile: bool = False


class TokenAnswer(msgspec.Struct, frozen=True):
    """A connection token. ``expires_at``: Unix seconds."""

    token: str
    expires_at: float


class HistoryAnswer(msgspec.Struct, frozen=True):
    """What a room remembers, oldest first; epoch and offset are null while the room does not exist."""

    room_id: str
    epoch: str | None
    offset: int | None
    messages: list[msgspec.Raw]


class PresenceAnswer(msgspec.Struct, frozen=True):
    """Who is in a room; ``members`` are at most as many as a presence message lists."""

    room_id: str
    count: int
    members: list[Member]
    complete: bool


_decode = msgspec.json.Decoder(PublishBody).decode
_Key = Annotated[str | None, Header(alias="Idempotency-Key", max_length=KEY_MAX_CHARS)]
_Limit = Annotated[int, Query(ge=1, le=HISTORY_MAX)]


class RoomsApi:
    """The routes and what they need.

    Args:
        rules: Room family -> rules.
    """

    def __init__(
        self, hub: Hub, rules: Mapping[str, RoomRules], keys: ApiKeys, tokens: ConnectionTokens, clock: Clock
    ) -> None:
        self._hub = hub
        self._rules = rules
        self._callers = Callers(keys)
        self._tokens = tokens
        self._clock = clock
        self._answers = Idempotency()
        self._publish_rate = Throttle(burst=PUBLISH_BURST, every_s=PUBLISH_EVERY_S)
        self._token_rate = Throttle(burst=TOKEN_BURST, every_s=TOKEN_EVERY_S)
        self.published = 0

    def router(self) -> APIRouter:
        """Return the routes under /api/v1."""
        router = APIRouter(prefix="/api/v1", tags=["rooms"])

        @router.post("/connection-token", summary="A token for one WebSocket connection, valid for 60 s")
        async def connection_token(request: Request) -> Response:
            return self._issue(await self._callers.of(request))

        @router.post("/publish", summary="Send a message to a room (API key)", openapi_extra=_PUBLISH_DOC)
        async def publish(request: Request, key: _Key = None) -> Response:
            return await self._publish(await self._callers.with_key(request), await request.body(), key)

        @router.get("/rooms/{room_id}/history", summary="What a room remembers")
        async def history(request: Request, room_id: str, limit: _Limit = 100) -> Response:
            return await self._history(await self._callers.of(request), room_id, limit)

        @router.get("/rooms/{room_id}/presence", summary="Who is in a room")
        async def presence(request: Request, room_id: str) -> Response:
            return await self._presence(await self._callers.of(request), room_id)

        return router

    def statistics(self) -> dict[str, int]:
        """Return counters since start, and how many answers are remembered."""
        return {
            "published": self.published,
            "publish_refused": self._publish_rate.refused,
            "token_refused": self._token_rate.refused,
            "idempotency_answers": len(self._answers),
        }

    def _issue(self, principal: Principal) -> Response:
        self._limit(self._token_rate, principal.session_id)
        issued = self._tokens.issue(principal.session_id)
        return _json(TokenAnswer(issued.token, issued.expires_at))

    async def _publish(self, principal: Principal, body: bytes, key: str | None) -> Response:
        self._limit(self._publish_rate, principal.session_id)
        now, digest = self._clock.monotonic(), hashlib.sha256(body).digest()
        before = None if key is None else self._answers.recall(principal.session_id, key, digest, now)
        if before is not None:
            return _raw(before)
        message = _read(body)
        if not principal.can("rooms:publish"):
            raise Forbidden(
                "This key may not publish: that needs the permission rooms:publish.",
                required_action="Make a key with the permission, of a user who has it.",
                will_not="Tidewire will not deliver the message.",
            )
        require_publish(principal, self._known(message.room_id))
        done = await self._hub.post(
            message.room_id,
            data_body(normal_json(message.data)),
            delivery="volatile" if message.volatile else None,
            # With the digest: another node does not know what stood under the key.
            op_key=None if key is None else f"{principal.session_id}/{key}/{digest.hex()}",
        )
        self.published += 1
        answer = msgspec.json.encode(done)
        if key is not None:
            self._answers.remember(principal.session_id, key, digest, answer, now)
        return _raw(answer)

    async def _history(self, principal: Principal, room_id: str, limit: int) -> Response:
        address = self._known(room_id)
        require_enter(principal, address)
        await self._hub.follow(room_id)
        rules, room = self._rules[address.family], self._hub.room(room_id)
        audience = rules.audience_of(principal) if rules.audiences != (EVERYBODY,) else EVERYBODY
        messages = [msgspec.Raw(message) for message in self._hub.history(room_id, limit, audience)]
        epoch, offset = (None, None) if room is None else (room.epoch, room.offset)
        return _json(HistoryAnswer(room_id, epoch, offset, messages))

    async def _presence(self, principal: Principal, room_id: str) -> Response:
        address = self._known(room_id)
        require_enter(principal, address)
        if not self._rules[address.family].presence:
            raise InvalidRequest(
                f"The room {room_id} does not keep who is inside.",
                required_action="Ask for the presence of an app: or public: room.",
                will_not="Tidewire will not guess who reads.",
            )
        await self._hub.follow(room_id)
        room, members = self._hub.room(room_id), self._hub.members(room_id)
        count = 0 if room is None else room.present
        return _json(PresenceAnswer(room_id, count, members, len(members) == count))

    def _known(self, room_id: str) -> Address:
        address = resolve(room_id)
        if address.family not in self._rules:
            raise InvalidRequest(
                f"There are no {address.family} rooms on this server.",
                required_action="Use a room of a feature that is switched on.",
                will_not="Tidewire will not open a room without rules.",
            )
        return address

    def _limit(self, rate: Throttle, caller: str) -> None:
        refusal = rate.take(caller, self._clock.monotonic())
        if refusal is not None:
            raise RateLimited(
                "Too many requests of this login.",
                required_action="Wait as long as Retry-After says, then send it again.",
                will_not="Tidewire will not do what this request asked.",
                retry_after_ms=max(1, round(refusal.retry_after_s * 1000)),
            )


def _read(body: bytes) -> PublishBody:
    will_not, action = "Tidewire will not guess what was meant.", 'Send {"room_id": ..., "data": ...} as JSON.'
    if depth(body) > MAX_DEPTH:
        raise InvalidRequest(
            f"The JSON is nested more than {MAX_DEPTH} deep.", required_action=action, will_not=will_not
        )
    try:
        return _decode(body)
    except UNREADABLE as exc:
        raise InvalidRequest(str(exc)[:200], required_action=action, will_not=will_not) from exc


def _json(answer: msgspec.Struct) -> Response:
    return _raw(msgspec.json.encode(answer))


def _raw(answer: bytes) -> Response:
    return Response(answer, media_type="application/json", headers={"Cache-Control": "no-store"})


_PUBLISH_DOC: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["room_id", "data"],
                    "properties": {
                        "room_id": {"type": "string", "example": "app:lobby"},
                        "data": {"description": "Any JSON."},
                        "volatile": {"type": "boolean", "default": False},
                    },
                }
            }
        },
    }
}
