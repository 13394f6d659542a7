"""HTTP side of the operators' dashboards: list, read, make, change, delete, and which one comes first.

Who may see what, the store decides; every change is in the audit log, in the same transaction. It must not know what a
figure is worth. Source: contract.md section 6 (``/api/v1/admin/dashboards``); dashboard.md S3.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Collection
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Request, Response

from tidewire.accounts.http import caller, require_permission
from tidewire.accounts.model import Principal
from tidewire.core.errors import Forbidden, InvalidRequest
from tidewire.core.unreadable import UNREADABLE
from tidewire.monitoring.connection_routes import PERMISSION as MANAGE
from tidewire.monitoring.connection_routes import json_answer, require_admin
from tidewire.monitoring.dashboard_builtin import OVERVIEW, OVERVIEW_ID
from tidewire.monitoring.dashboard_model import Draft, read
from tidewire.store.dashboards import DashboardRecord, Dashboards
from tidewire.store.records import ActivityEntry

READ = "analytics:read"


def require_reader(
    principal: Annotated[Principal, Depends(require_permission(READ))], _: Annotated[Principal, Depends(require_admin)]
) -> Principal:
    """Return an admin who may read figures. Raises Unauthenticated or Forbidden."""
    return principal


Reader = Annotated[Principal, Depends(require_reader)]


class DashboardShown(msgspec.Struct, frozen=True, kw_only=True):
    """A dashboard in the list.

    Attributes:
        mine: The asker owns it and may change it.
        built_in: Part of the program: nobody may change it.
    """

    id: str
    name: str
    owner: str
    mine: bool
    shared: bool
    built_in: bool
    version: int
    updated_at: float


class DashboardWhole(DashboardShown, frozen=True, kw_only=True):
    """A dashboard with its widgets."""

    widgets: list[dict[str, Any]]


class DashboardsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What the asker may see: own first.

    Attributes:
        first: The one that the asker has chosen to begin with.
        first_of_all: The one that everybody begins with who has chosen none.
    """

    dashboards: list[DashboardShown]
    first: str | None
    first_of_all: str | None


class FirstBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which dashboard comes first; ``everybody``: for all who have chosen none."""

    dashboard_id: Annotated[str, msgspec.Meta(max_length=32)] | None
    everybody: bool = False


class DashboardsApi:
    """The routes' work.

    Args:
        known: Returns the names of the metrics that there are.
        now: Tells the time, Unix seconds.
    """

    def __init__(
        self, dashboards: Dashboards, known: Callable[[], Collection[str]], now: Callable[[], float] = time.time
    ) -> None:
        self._dashboards = dashboards
        self._known = known
        self._now = now

    def router(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter(prefix="/api/v1/admin/dashboards", tags=["admin"])

        @router.get("", summary="The dashboards that you may see")
        async def listed(principal: Reader) -> Response:
            rows = await self._dashboards.visible(principal.user_id)
            first, first_of_all = await self._dashboards.defaults(principal.user_id)
            shown = [DashboardShown(**_head(row, principal)) for row in (_BUILT_IN, *rows)]
            return json_answer(DashboardsAnswer(dashboards=shown, first=first, first_of_all=first_of_all))

        @router.put("/first", summary="Choose the dashboard that /admin shows, for you or for everybody")
        async def choose(request: Request, principal: Reader) -> Response:
            await self._choose(await request.body(), principal, caller(request))
            return Response(status_code=204)

        @router.post("", status_code=201, summary="Make a dashboard")
        async def create(request: Request, principal: Reader) -> Response:
            answer = json_answer(await self._create(await request.body(), principal, caller(request)))
            answer.status_code = 201
            return answer

        @router.get("/{dashboard_id}", summary="One dashboard with its widgets")
        async def one(dashboard_id: str, principal: Reader) -> Response:
            if dashboard_id == OVERVIEW_ID:
                return json_answer(_whole(_BUILT_IN, principal))
            return json_answer(_whole(await self._dashboards.get(dashboard_id[:64], principal.user_id), principal))

        @router.put("/{dashboard_id}", summary="Change your dashboard; `version` is the one that was changed")
        async def replace(dashboard_id: str, request: Request, principal: Reader) -> Response:
            raw, ip = await request.body(), caller(request)
            return json_answer(await self._replace(dashboard_id[:64], raw, principal, ip))

        @router.delete("/{dashboard_id}", status_code=204, summary="Delete your dashboard")
        async def remove(dashboard_id: str, request: Request, principal: Reader) -> Response:
            audit = self._entry(principal, "dashboard.delete", dashboard_id, caller(request), {})
            await self._dashboards.remove(dashboard_id[:64], principal.user_id, audit)
            return Response(status_code=204)

        return router

    async def _create(self, raw: bytes, principal: Principal, ip: str) -> DashboardWhole:
        draft, now = read(raw, self._known()), self._now()
        record = DashboardRecord(
            id=secrets.token_hex(8),
            owner_id=principal.user_id,
            owner=principal.username,
            name=draft.name.strip(),
            shared=draft.shared,
            version=1,
            widgets=_plain(draft),
            created_at=now,
            updated_at=now,
        )
        await self._dashboards.create(
            record, self._entry(principal, "dashboard.create", record.id, ip, _details(draft))
        )
        return _whole(record, principal)

    async def _replace(self, dashboard_id: str, raw: bytes, principal: Principal, ip: str) -> DashboardWhole:
        draft = read(raw, self._known())
        record = await self._dashboards.replace(
            dashboard_id,
            principal.user_id,
            name=draft.name.strip(),
            shared=draft.shared,
            widgets=_plain(draft),
            version=draft.version,
            now=self._now(),
            audit=self._entry(principal, "dashboard.change", dashboard_id, ip, _details(draft)),
        )
        return _whole(record, principal)

    async def _choose(self, raw: bytes, principal: Principal, ip: str) -> None:
        try:
            body = msgspec.json.decode(raw, type=FirstBody)
        except UNREADABLE as exc:
            raise InvalidRequest(
                f"This names no dashboard: {exc}"[:300],
                required_action="Send dashboard_id (or null) and everybody (true or false).",
                will_not="Tidewire will not guess what was meant; nothing was changed.",
            ) from exc
        if body.everybody and not principal.can(MANAGE):
            raise Forbidden(
                f"To choose for everybody needs the permission {MANAGE}, which you do not have.",
                required_action="Ask an administrator to choose it, or choose for yourself.",
                will_not="Nothing was changed, for you neither.",
                details={"permission": MANAGE},
            )
        details: dict[str, object] = {"everybody": body.everybody}
        audit = self._entry(principal, "dashboard.choose", body.dashboard_id or "", ip, details)
        await self._dashboards.set_default(principal.user_id, body.dashboard_id, everybody=body.everybody, audit=audit)

    def _entry(
        self, principal: Principal, action: str, dashboard_id: str, ip: str, details: dict[str, object]
    ) -> ActivityEntry:
        return ActivityEntry(
            at=self._now(),
            actor=principal.username,
            actor_id=principal.user_id,
            action=action,
            target=f"dashboard {dashboard_id}"[:255],
            details=msgspec.convert(details, dict[str, Any]),
            ip=ip,
        )


def _details(draft: Draft) -> dict[str, object]:
    return {"name": draft.name.strip(), "shared": draft.shared, "widgets": len(draft.widgets)}


def _plain(draft: Draft) -> list[dict[str, Any]]:
    plain: list[dict[str, Any]] = msgspec.to_builtins(draft.widgets)
    return plain


_BUILT_IN = DashboardRecord(
    id=OVERVIEW_ID,
    owner_id=None,
    owner="",
    name=OVERVIEW.name,
    shared=True,
    version=0,
    widgets=_plain(OVERVIEW),
    created_at=0.0,
    updated_at=0.0,
)


def _head(row: DashboardRecord, principal: Principal) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "owner": row.owner,
        "mine": row.owner_id == principal.user_id,
        "shared": row.shared,
        "built_in": row.id == OVERVIEW_ID,
        "version": row.version,
        "updated_at": row.updated_at,
    }


def _whole(row: DashboardRecord, principal: Principal) -> DashboardWhole:
    return DashboardWhole(**_head(row, principal), widgets=row.widgets)
