"""HTTP side of the monitoring feature: GET /api/admin/websocket-status. It must not know where the status comes from.

Source: contract.md section 4.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response

from tidewire.accounts.http import require_role
from tidewire.accounts.model import Principal, Role
from tidewire.monitoring.feed_monitor import FeedMonitor

require_admin = require_role(Role.ADMIN)


def monitoring_router(monitor: FeedMonitor) -> APIRouter:
    """Return the routes over ``monitor``."""
    router = APIRouter(prefix="/api/admin", tags=["admin"])

    @router.get("/websocket-status", summary="Health of every upstream connection")
    async def websocket_status(
        response: Response, _principal: Annotated[Principal, Depends(require_admin)]
    ) -> dict[str, Any]:
        """Return the feed's health: ``status`` is ``ok`` or ``degraded``, then the fields of the contract."""
        response.headers["Cache-Control"] = "no-store"
        status = monitor.status()
        return {"status": "ok" if status["feed_silent_since"] is None else "degraded", **status}

    return router
