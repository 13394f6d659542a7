"""HTTP side of the activity log: its pages, the actions in it, and the export of what the filters show.

It must not know SQL or the socket. Source: contract.md section 6; dashboard.md M6, M11.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from tidewire.accounts.http import caller, require_permission
from tidewire.accounts.model import Principal
from tidewire.core.errors import Forbidden
from tidewire.monitoring.activity_export import ACTION as EXPORT_ACTION
from tidewire.monitoring.activity_export import Export
from tidewire.monitoring.activity_wire import PERMISSION, ActivityFilters, ActivityRow, read_filters, row_of
from tidewire.monitoring.connection_routes import Audit, json_answer
from tidewire.monitoring.cursor import CHARS_MAX, read_cursor, write_cursor
from tidewire.monitoring.file_export import FileRules, Form, file_headers
from tidewire.store.activity import ActivityLog

PAGE_MAX = 200

MayStill = Callable[[Request], Awaitable[bool]]
_Reader = Annotated[Principal, Depends(require_permission(PERMISSION))]
# Longer words than a filter may have are refused with a sentence on filters.
_Text = Annotated[str, Query(max_length=1_000)]


class ActivityAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the log, newest first.

    Attributes:
        cursor: Asks for the next part; null: this was the last.
        at: When this was so, Unix seconds.
        masked: Addresses are shown without their last part.
        may_export: Whether this server lets the log be taken away as a file.
    """

    activity: list[ActivityRow]
    cursor: str | None
    at: float
    masked: bool
    may_export: bool


class ActionsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Every action that is in the log, in order; ``masked`` and ``may_export`` as in ``ActivityAnswer``."""

    actions: list[str]
    masked: bool
    may_export: bool


def _filters(
    who: _Text = "",
    action: _Text = "",
    target: _Text = "",
    ip: _Text = "",
    since: _Text = "",
    until: _Text = "",
    text: _Text = "",
) -> ActivityFilters:
    """``action``: ``user.login``, or ``user`` for all of them; ``since`` and ``until``: Unix seconds or ISO 8601."""
    return ActivityFilters(who=who, action=action, target=target, ip=ip, since=since, until=until, text=text)


_Filters = Annotated[ActivityFilters, Depends(_filters)]


def activity_router(
    activity: ActivityLog,
    audit: Audit,
    may_still: MayStill,
    now: Callable[[], float],
    *,
    masked: bool,
    files: FileRules,
) -> APIRouter:
    """Return the routes.

    Args:
        activity: The table, read beside whoever waits for an answer.
        audit: Writes an audit line.
        may_still: Whether who asked may still look.
        now: Tells the time, Unix seconds.
        masked: Addresses are shown without their last part.
        files: Whether the log may be taken away as a file, and how.
    """
    may_export = files.allowed
    router = APIRouter(prefix="/api/v1/admin/activity", tags=["admin"])

    @router.get("", summary="Who did what, when and from where; newest first")
    async def listing(
        _: _Reader,
        filters: _Filters,
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 50,
        cursor: Annotated[str, Query(max_length=CHARS_MAX)] = "",
    ) -> Response:
        page = await activity.page(read_filters(filters, masked=masked), limit=limit, after=read_cursor(cursor))
        return json_answer(
            ActivityAnswer(
                activity=[row_of(row, masked=masked) for row in page.rows],
                cursor=write_cursor(page.after),
                at=now(),
                masked=masked,
                may_export=may_export,
            )
        )

    @router.get("/actions", summary="The actions that are in the log")
    async def actions(_: _Reader) -> Response:
        return json_answer(ActionsAnswer(actions=await activity.actions(), masked=masked, may_export=may_export))

    _add_export(router, activity, audit, may_still, now, masked=masked, files=files)
    return router


def _add_export(
    router: APIRouter,
    activity: ActivityLog,
    audit: Audit,
    may_still: MayStill,
    now: Callable[[], float],
    *,
    masked: bool,
    files: FileRules,
) -> None:
    @router.get("/export", summary="All that the filters show, as a file of lines")
    async def export(
        request: Request,
        principal: _Reader,
        filters: _Filters,
        form: Annotated[Form, Query(alias="format")],
        mask_addresses: bool = False,
    ) -> Response:
        """Up to the newest row of now. Begin and end are in the log; a file that broke off says so at its end."""
        wanted = read_filters(filters, masked=masked)
        asked = {name: value for name, value in msgspec.to_builtins(filters).items() if value}
        hidden = masked or files.masked or mask_addresses

        async def note(outcome: str, **more: object) -> None:
            what: dict[str, object] = {"format": form, "filters": asked, "masked": hidden}
            details = {"outcome": outcome, **what, **more}
            ip = caller(request)
            await audit(principal=principal, action=EXPORT_ACTION, details=details, target="activity", ip=ip)

        if not files.allowed:
            await note("refused")
            raise _forbidden()
        newest_id = await activity.newest_id()
        await note("requested")
        made = Export(activity, wanted, newest_id, form, masked=hidden, now=now)
        parts = made.chunks(lambda: may_still(request), note)
        return StreamingResponse(parts, media_type=made.media_type, headers=file_headers("activity", form))


def _forbidden() -> Forbidden:
    return Forbidden(
        "This server does not let the activity log be taken away as a file.",
        required_action="Read it on the page or ask whoever runs the server (TIDEWIRE_[ACTIVITY_]EXPORT).",
        will_not="Tidewire will not write any row to a file; that it was asked is in the log.",
        code="export_forbidden",
    )
