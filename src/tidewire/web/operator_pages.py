"""The pages of those who run the place: which there are, and who may open each. It must not know what is drawn on them.

Who may see a page may see nothing on it yet: the page asks the API, and that has the last word.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Depends, Path
from starlette.requests import Request
from starlette.responses import Response

from tidewire.accounts.http import current_principal, require_permission, require_role
from tidewire.accounts.model import Principal, Role

_Viewer = Annotated[Principal, Depends(current_principal)]
_ADMIN = Depends(require_role(Role.ADMIN))
_READS = Depends(require_permission("analytics:read"))
_AUDITS = Depends(require_permission("audit:read"))
_MANAGES = Depends(require_permission("users:manage"))


class OperatorPage(NamedTuple):
    """A page at a fixed address. ``needs``: all of them."""

    path: str
    template: str
    name: str
    needs: tuple[Any, ...]


PAGES = (
    OperatorPage("/admin", "admin_dashboard.html", "dashboards", (_ADMIN, _READS)),
    OperatorPage("/admin/websockets", "admin_websockets.html", "feed", (_ADMIN,)),
    OperatorPage("/admin/connections", "admin_connections.html", "connections", (_ADMIN,)),
    OperatorPage("/admin/rooms", "admin_rooms.html", "rooms", (_ADMIN,)),
    OperatorPage("/admin/trace", "admin_trace.html", "rooms", (_ADMIN,)),
    OperatorPage("/admin/test-client", "admin_test_client.html", "rooms", (_ADMIN,)),
    OperatorPage("/admin/bans", "admin_bans.html", "bans", (_ADMIN,)),
    OperatorPage("/admin/health", "admin_health.html", "health", (_READS,)),
    OperatorPage("/admin/performance", "admin_performance.html", "performance", (_ADMIN, _READS)),
    OperatorPage("/admin/alerts", "admin_alerts.html", "alerts", (_READS,)),
    OperatorPage("/admin/activity", "admin_activity.html", "activity", (_AUDITS,)),
    OperatorPage("/admin/users", "admin_users.html", "users", (_MANAGES,)),
)


def add_operator_pages(
    router: APIRouter, page: Callable[..., Response], *, data_notice: str | None, now: Callable[[], float]
) -> None:
    """Add them.

    Args:
        page: Renders one for somebody.
        data_notice: What the feed page says of the origin of its data.
        now: Tells the time, Unix seconds.
    """
    for each in PAGES:
        _add(router, page, each, data_notice, now)

    @router.get("/admin/connections/{connection_id}", dependencies=[_ADMIN])
    def connection(request: Request, principal: _Viewer, connection_id: str) -> Response:
        """One connection; whether there is one of this id, the page asks."""
        return page(request, principal, "admin_connection.html", "connections", connection_id=connection_id[:64])

    @router.get("/admin/users/{user_id}", dependencies=[_MANAGES])
    def user(request: Request, user_id: Annotated[int, Path(ge=1, le=2**53)], principal: _Viewer) -> Response:
        """One user; whether there is one of this number, the API says."""
        return page(request, principal, "admin_user.html", "users", user_id=user_id)


def _add(
    router: APIRouter,
    page: Callable[..., Response],
    each: OperatorPage,
    data_notice: str | None,
    now: Callable[[], float],
) -> None:
    def show(request: Request, principal: _Viewer) -> Response:
        may_manage = principal.can("users:manage")
        told = {"data_notice": data_notice, "server_time": f"{now():.3f}", "may_manage": may_manage}
        return page(request, principal, each.template, each.name, **told)

    router.add_api_route(each.path, show, methods=["GET"], name=each.name, dependencies=[*each.needs])
