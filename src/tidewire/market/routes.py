"""HTTP side of the market feature: which symbols there are. It must not know where their names come from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from tidewire.accounts.http import require_permission
from tidewire.accounts.model import Principal

require_view = require_permission("market:view")


def market_router(symbols: Callable[[str, int], list[str]]) -> APIRouter:
    """Return the routes.

    Args:
        symbols: Returns at most so many known symbols that begin with a prefix.
    """
    router = APIRouter(prefix="/api/v1/market", tags=["market"])

    @router.get("/symbols", summary="Symbols of which this server has seen a tick")
    def list_symbols(
        response: Response,
        _principal: Annotated[Principal, Depends(require_view)],
        prefix: Annotated[str, Query(max_length=32)] = "",
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
    ) -> dict[str, list[str]]:
        """Return ``symbols``: shortest first, then by name, so that an exact match leads."""
        response.headers["Cache-Control"] = "no-store"
        return {"symbols": symbols(prefix.upper(), limit)}

    return router
