"""HTTP side of the users, for whoever has the permission ``users:manage``: list, add, change, log out.

A change names the version that was seen; of two who edit one user the second gets 409. It must not know SQL, or the
rules of who may change whom. Source: contract.md section 6; dashboard.md M6, M8.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Request, Response

from tidewire.accounts.http import caller, require_permission
from tidewire.accounts.model import Principal, Role
from tidewire.accounts.user_admin import Actor, UserAdmin
from tidewire.accounts.user_rules import (
    MANAGE,
    UserChange,
    read_permissions,
    read_role,
    rule_book,
)
from tidewire.core.cursor import read_place, write_place
from tidewire.core.errors import InvalidRequest
from tidewire.core.unreadable import UNREADABLE
from tidewire.hub.census import PAGE_MAX, ConnectionQuery
from tidewire.hub.everywhere import Everywhere
from tidewire.monitoring.connection_routes import json_answer
from tidewire.monitoring.user_wire import (
    ChangeBody,
    CreatedAnswer,
    EndedAnswer,
    NewUserBody,
    PasswordAnswer,
    PasswordBody,
    RulesAnswer,
    SessionsAnswer,
    SocketsAnswer,
    UsersAnswer,
    row_of,
    session_row,
)
from tidewire.store.user_edits import ListedUser, SortKey, UserQuery

_NOTHING_DONE = "Tidewire will not guess what was meant; nothing was done."
_Manager = Annotated[Principal, Depends(require_permission(MANAGE))]
_UserId = Annotated[int, Path(ge=1, le=2**53)]
_Text = Annotated[str, Query(max_length=200)]
_T = TypeVar("_T")


def user_router(admin: UserAdmin, everywhere: Everywhere, now: Callable[[], float]) -> APIRouter:
    """Return the routes.

    Args:
        admin: Reads and changes users.
        everywhere: Asks all nodes for connections.
        now: Tells the time, Unix seconds.
    """
    router = APIRouter(prefix="/api/v1/admin/users", tags=["admin"])
    _add_list(router, admin, now)
    _add_reading(router, admin, everywhere, now)
    _add_changing(router, admin)
    return router


def _add_list(router: APIRouter, admin: UserAdmin, now: Callable[[], float]) -> None:
    @router.get("", summary="Users; searched, sorted and paged by the server")
    async def listing(
        _: _Manager,
        text: _Text = "",
        role: _Text = "",
        disabled: bool | None = None,
        sort: SortKey = "username",
        descending: bool = False,
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 50,
        cursor: Annotated[str, Query(max_length=512)] = "",
        keep: Annotated[str, Query(max_length=6_000)] = "",
    ) -> Response:
        """``text``: part of the name in any case, or the number; ``keep``: numbers, with commas, wanted beside."""
        wanted = UserQuery(
            roles=tuple(each.label for each in Role),
            text=text,
            role=read_role(role).label if role else "",
            disabled=disabled,
            sort=sort,
            descending=descending,
            limit=limit,
            after=_read_cursor(cursor, sort),
            keep=_numbers(keep),
        )
        page = await admin.page(wanted)
        return json_answer(
            UsersAnswer(
                users=[row_of(each) for each in page.rows],
                kept=[row_of(each) for each in page.kept],
                matching=page.matching,
                cursor=None if page.after is None else write_place(page.after),
                at=now(),
            )
        )


def _add_reading(router: APIRouter, admin: UserAdmin, everywhere: Everywhere, now: Callable[[], float]) -> None:
    @router.get("/rules", summary="What each role may do, and how far you reach")
    async def rules(principal: _Manager) -> Response:
        book = rule_book()
        return json_answer(
            RulesAnswer(
                roles=book,
                permissions=sorted({name for names in book.values() for name in names}),
                own_id=principal.user_id,
                own_role=principal.role.label,
                own_permissions=sorted(principal.permissions),
            )
        )

    @router.get("/{user_id}", summary="One user, with the resulting permissions")
    async def one(_: _Manager, user_id: _UserId) -> Response:
        return json_answer(row_of(await admin.get(user_id)))

    @router.get("/{user_id}/sessions", summary="The logins of a user")
    async def sessions(_: _Manager, user_id: _UserId) -> Response:
        found = await admin.sessions(user_id)
        return json_answer(SessionsAnswer(sessions=[session_row(each) for each in found], at=now()))

    @router.get("/{user_id}/connections", summary="The sockets of a user, on all nodes")
    async def sockets(_: _Manager, user_id: _UserId) -> Response:
        await admin.get(user_id)
        page = await everywhere.connections(ConnectionQuery(user=str(user_id), limit=PAGE_MAX))
        # Somebody's name may be another one's number.
        rows = [row for row in page.rows if row.user_id == user_id]
        return json_answer(
            SocketsAnswer(
                connections=rows,
                matching=page.matching - (len(page.rows) - len(rows)),
                complete=not page.silent and not page.cut_off,
                silent=page.silent,
                cut_off=page.cut_off,
                at=now(),
            )
        )


def _add_changing(router: APIRouter, admin: UserAdmin) -> None:
    @router.post("", summary="Add a user", status_code=201, openapi_extra=_body(NewUserBody))
    async def create(request: Request, principal: _Manager) -> Response:
        body = _read(await request.body(), NewUserBody)
        wanted = UserChange(
            role=read_role(body.role),
            disabled=body.disabled,
            grants=read_permissions(body.grants),
            denials=read_permissions(body.denials),
        )
        made, password = await admin.create(_actor(request, principal), body.username, body.password, wanted)
        answer = json_answer(CreatedAnswer(user=row_of(ListedUser(made, 0, None)), password=password))
        answer.status_code = 201
        answer.headers["Location"] = f"/api/v1/admin/users/{made.id}"
        return answer

    @router.patch("/{user_id}", summary="Change a user; it acts at once", openapi_extra=_body(ChangeBody))
    async def change(request: Request, principal: _Manager, user_id: _UserId) -> Response:
        body = _read(await request.body(), ChangeBody)
        wanted = UserChange(
            role=None if body.role is None else read_role(body.role),
            disabled=body.disabled,
            grants=None if body.grants is None else read_permissions(body.grants),
            denials=None if body.denials is None else read_permissions(body.denials),
        )
        if wanted == UserChange():
            raise InvalidRequest(
                "Nothing is to be changed.",
                required_action="Send role, disabled, grants or denials beside the version.",
                will_not=_NOTHING_DONE,
            )
        return json_answer(row_of(await admin.change(_actor(request, principal), user_id, body.version, wanted)))

    @router.post("/{user_id}/password", summary="Set a password and end every login", openapi_extra=_body(PasswordBody))
    async def password(request: Request, principal: _Manager, user_id: _UserId) -> Response:
        body = _read(await request.body() or b"{}", PasswordBody)
        ended, made = await admin.set_password(_actor(request, principal), user_id, body.password)
        return json_answer(PasswordAnswer(sessions_ended=ended, password=made))

    @router.post("/{user_id}/logout", summary="End every login of a user, and the sockets of them")
    async def logout(request: Request, principal: _Manager, user_id: _UserId) -> Response:
        return json_answer(EndedAnswer(sessions_ended=await admin.log_out(_actor(request, principal), user_id)))

    @router.post("/{user_id}/sessions/{session_id}/end", summary="End one login of a user, and the sockets of it")
    async def end(
        request: Request, principal: _Manager, user_id: _UserId, session_id: Annotated[str, Path(max_length=64)]
    ) -> Response:
        ended = await admin.end_session(_actor(request, principal), user_id, session_id)
        return json_answer(EndedAnswer(sessions_ended=int(ended)))


def _actor(request: Request, principal: Principal) -> Actor:
    return Actor(principal, caller(request))


def _read(body: bytes, kind: type[_T]) -> _T:
    """Read a body. Raises InvalidRequest; what is quoted is the path and the types, never a value."""
    try:
        return msgspec.json.decode(body, type=kind)
    except UNREADABLE as exc:
        raise InvalidRequest(
            f"This is not what is needed here: {str(exc)[:200]}.",
            required_action="Send the members that /docs describes, as a JSON object.",
            will_not=_NOTHING_DONE,
        ) from exc


_CURSORS: dict[str, msgspec.json.Decoder[Any]] = {
    "username": msgspec.json.Decoder(tuple[str, int]),
    "role": msgspec.json.Decoder(tuple[int, int]),
    "state": msgspec.json.Decoder(tuple[int, int]),
    "created_at": msgspec.json.Decoder(tuple[float, int]),
    "password_changed_at": msgspec.json.Decoder(tuple[float, int]),
}


def _read_cursor(cursor: str, sort: SortKey) -> tuple[str | float | int, int] | None:
    """Read a cursor; None if there is none. Raises InvalidRequest if it is not one of this list in this order."""
    if not cursor:
        return None
    try:
        value, number = read_place(cursor, _CURSORS[sort])
    except ValueError as exc:
        raise _no_cursor() from exc
    if not isinstance(value, str) and not -1 <= value <= 253_402_300_799:
        raise _no_cursor()
    if not 0 <= number < 2**53:
        raise _no_cursor()
    return value, number


def _numbers(keep: str) -> tuple[int, ...]:
    """Read numbers of users. Raises InvalidRequest: one that is left out would pass for a user that is no more."""
    found = [each for each in keep.split(",") if each]
    if not all(each.isascii() and each.isdecimal() and len(each) < 16 for each in found):
        raise InvalidRequest(
            "A number to keep is no user's number.",
            required_action="Send numbers with commas, as the list has them, or none.",
            will_not=_NOTHING_DONE,
        )
    return tuple(map(int, found))


def _no_cursor() -> InvalidRequest:
    return InvalidRequest(
        "The cursor is not one of this list.",
        required_action="Send the cursor of the answer before with the same sort, or none to begin anew.",
        will_not=_NOTHING_DONE,
    )


def _body(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """Return how /docs shows a body."""
    schema = msgspec.json.schema(kind)
    return {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": schema["$defs"][kind.__name__]}},
        }
    }
