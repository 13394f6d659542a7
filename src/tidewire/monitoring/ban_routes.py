"""HTTP side of bans: the list, banning one or many, lifting. It must not know what keeps a banned one out.

Banning wants the number of those meant said too. An answer that lacks a node names it: there the ban holds only when
the node reads the bans anew. Source: contract.md section 6; dashboard.md M8.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
import structlog
from fastapi import APIRouter, Depends, Path, Query, Request, Response

from tidewire.accounts.bans import Bans, Wish, check_reason
from tidewire.accounts.http import caller
from tidewire.accounts.model import Principal
from tidewire.core.errors import InvalidRequest, TidewireError
from tidewire.core.unreadable import UNREADABLE
from tidewire.hub.banishment import Banishment
from tidewire.hub.census import PAGE_MAX
from tidewire.hub.node_info import Silent
from tidewire.monitoring.connection_routes import Audit, json_answer, require_admin, require_manage
from tidewire.store.ban_records import Ban
from tidewire.store.bans import BanState

# Longer than anybody plans; who is to stay out for good has no end at all.
SECONDS_MAX = 10 * 366 * 86_400
ID_MAX = 2**63 - 1
log = structlog.get_logger("tidewire.monitoring")

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
_Address = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class ShownBan(Ban, frozen=True, kw_only=True):
    """A ban in a list. ``state``: ``in_force``, ``expired`` or ``lifted``."""

    state: BanState


class BansAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the list, newest first.

    Attributes:
        kept: Those that were asked for beside it.
        in_force: How many keep somebody out now, in all.
        at: When this was so, Unix seconds.
    """

    bans: list[ShownBan]
    kept: list[ShownBan]
    matching: int
    in_force: int
    cursor: str | None
    at: float


class BanBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who is to be banned.

    Attributes:
        count: How many the person has confirmed; it must be their number.
        seconds: How long; null: until somebody lifts it. It must be said.
        confirm: What was typed to ban oneself.
    """

    users: Annotated[list[_Name], msgspec.Meta(max_length=PAGE_MAX)] = []
    addresses: Annotated[list[_Address], msgspec.Meta(max_length=PAGE_MAX)] = []
    count: int
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
    seconds: Annotated[int, msgspec.Meta(ge=1, le=SECONDS_MAX)] | None
    confirm: Annotated[str, msgspec.Meta(max_length=64)] = ""


class BanAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What was banned or lifted.

    Attributes:
        closed: Connections that ended because of it.
        complete: Every node has answered, so it holds everywhere; otherwise not yet on those of ``silent``.
    """

    bans: list[ShownBan]
    closed: int
    close_code: int
    complete: bool
    silent: list[Silent]
    cut_off: str


def ban_router(bans: Bans, banishment: Banishment, audit: Audit, now: Callable[[], float]) -> APIRouter:
    """Return the routes.

    Args:
        banishment: Makes them act on all nodes.
        audit: Writes an audit line.
        now: Tells the time, Unix seconds.
    """
    router = APIRouter(prefix="/api/v1/admin/bans", tags=["admin"])

    @router.get("", summary="Bans of users and addresses, newest first")
    async def listed(
        _: Annotated[Principal, Depends(require_admin)],
        state: BanState = "in_force",
        text: Annotated[str, Query(max_length=200)] = "",
        sort: Literal["created_at"] = "created_at",
        descending: bool = True,
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 50,
        cursor: Annotated[str, Query(max_length=20)] = "",
        keep: Annotated[str, Query(max_length=6_000)] = "",
    ) -> Response:
        """``text``: words of user, address, reason or who banned, in any case; ``keep``: ids, with commas."""
        kept = [_number(each) for each in keep.split(",") if each]
        page = await bans.page(state, text, limit=limit, before=_place(cursor), keep=kept, oldest_first=not descending)
        at = now()
        return json_answer(
            BansAnswer(
                bans=[_shown(ban, at) for ban in page.bans],
                kept=[_shown(ban, at) for ban in page.kept],
                matching=page.matching,
                in_force=bans.statistics()["in_force"],
                cursor=None if page.before is None else str(page.before),
                at=at,
            )
        )

    @router.post("", summary="Ban users and addresses, on every node at once (4503)", openapi_extra=_DOC)
    async def impose(request: Request, principal: Annotated[Principal, Depends(require_manage)]) -> Response:
        body, ip = _read(await request.body()), caller(request)
        wish = Wish(
            users=body.users,
            addresses=body.addresses,
            reason=check_reason(body.reason),
            seconds=body.seconds,
            confirm=body.confirm,
        )
        made = await bans.impose(wish, principal, ip)
        return json_answer(await _spread(banishment, audit, made, "ban.applied", principal, ip, now))

    @router.post("/{ban_id}/lift", summary="Lift a ban, on every node at once")
    async def lift(
        request: Request,
        principal: Annotated[Principal, Depends(require_manage)],
        ban_id: Annotated[int, Path(ge=1, le=ID_MAX)],
    ) -> Response:
        ip = caller(request)
        lifted = await bans.lift(ban_id, principal, ip)
        return json_answer(await _spread(banishment, audit, [lifted], "ban.unapplied", principal, ip, now))

    return router


async def _spread(
    banishment: Banishment,
    audit: Audit,
    bans: list[Ban],
    action: str,
    principal: Principal,
    ip: str,
    now: Callable[[], float],
) -> BanAnswer:
    """Make stored bans act everywhere, and write down how far that came."""
    spread = await banishment.spread(bans)
    details: dict[str, object] = {
        "bans": [ban.id for ban in bans],
        "closed": spread.closed,
        "silent": [node.instance for node in spread.silent],
        "cut_off": spread.cut_off,
    }
    target = bans[0].target if len(bans) == 1 else f"{len(bans)} bans"
    try:
        await audit(principal=principal, action=action, details=details, target=target, ip=ip)
    except TidewireError as exc:
        # What was done is in the log already, in the same transaction as the ban.
        log.error("audit_outcome_unwritten", action=action, target=target, **exc.describe())
    at = now()
    return BanAnswer(
        bans=[_shown(ban, at) for ban in bans],
        closed=spread.closed,
        close_code=4503,
        complete=not spread.silent and not spread.cut_off,
        silent=spread.silent,
        cut_off=spread.cut_off,
    )


def _shown(ban: Ban, at: float) -> ShownBan:
    state: BanState = "lifted" if ban.lifted_at is not None else "in_force" if ban.holds(at) else "expired"
    return ShownBan(**{name: getattr(ban, name) for name in Ban.__struct_fields__}, state=state)


def _place(cursor: str) -> int | None:
    """Return the number of the last ban that was seen; None to begin. Raises InvalidRequest."""
    return _number(cursor) if cursor else None


def _number(text: str) -> int:
    """Return a ban's number. Raises InvalidRequest."""
    if not (text.isascii() and text.isdecimal() and len(text) < 20) or int(text) > ID_MAX:
        raise InvalidRequest(
            "The cursor or a number to keep is not one of this list.",
            required_action="Send what the answer before had, or none to begin anew.",
            will_not="Tidewire will not guess what was meant.",
        )
    return int(text)


def _read(raw: bytes) -> BanBody:
    """Read the body. Raises InvalidRequest."""
    will_not = "Tidewire will not guess who was meant; nobody was banned."
    try:
        body = msgspec.json.decode(raw, type=BanBody)
    except UNREADABLE as exc:
        raise InvalidRequest(
            f"Banning needs whom, their number, a reason and how long: {str(exc)[:200]}",
            required_action='Send {"users": [...], "addresses": [...], "count": n, "reason": "...", "seconds": 3600} as'
            " JSON; seconds null is without end.",
            will_not=will_not,
        ) from exc
    named = len(set(body.users)) + len(set(body.addresses))
    if not 1 <= named <= PAGE_MAX:
        raise InvalidRequest(
            f"{named} users and addresses are named; 1 to {PAGE_MAX} can be banned at once.",
            required_action="Name some, or ban the others after these.",
            will_not=will_not,
            details={"most": PAGE_MAX, "named": named},
        )
    if body.count != named:
        raise InvalidRequest(
            f"The count says {body.count}, but {named} users and addresses are named.",
            required_action="Look at the list again, and confirm the number that it has.",
            will_not=will_not,
            code="count_differs",
            details={"count": body.count, "named": named},
        )
    return body


_DOC: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["count", "reason", "seconds"],
                    "properties": {
                        "users": {"type": "array", "items": {"type": "string"}, "maxItems": PAGE_MAX},
                        "addresses": {
                            "type": "array",
                            "items": {"type": "string", "example": "203.0.113.0/24"},
                            "maxItems": PAGE_MAX,
                        },
                        "count": {"type": "integer"},
                        "reason": {"type": "string", "minLength": 1, "maxLength": 500},
                        "seconds": {"type": ["integer", "null"], "minimum": 1, "maximum": SECONDS_MAX},
                        "confirm": {"type": "string"},
                    },
                }
            }
        },
    }
}
