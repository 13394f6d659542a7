"""The pages a person opens: start, feed, streaming, quotes, analytics, API docs, and the built files they load.

It must not know what is drawn on them, how somebody logged in, or where ticks come from. Login and logout belong to
the security side; their templates lie beside the ones used here.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from os import PathLike, stat_result
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from tidewire.accounts.http import current_principal, require_permission
from tidewire.accounts.model import Principal
from tidewire.core.errors import NotFound
from tidewire.web.operator_pages import add_operator_pages
from tidewire.web.templating import Templates

# Vite puts a content hash into every name below assets/, so such a file never changes.
_FOREVER = "public, max-age=31536000, immutable"
# How a quote's number looks in an address.
_NUMBER = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class PageSettings:
    """What every page after login is told.

    Attributes:
        node: This web process's name.
        demo: Whether to say that this is the demo.
        data_notice: A sentence on the origin of the data when it is not live ("real daily bars, modelled intraday
            path"); None when it is.
        may_export: Whether what pages show may be taken away as files.
        exports_masked: Addresses are masked in files whoever asks.
        now: Tells the time, Unix seconds; pages that show ages begin with it.
    """

    node: str
    demo: bool = False
    data_notice: str | None = None
    may_export: bool = True
    exports_masked: bool = False
    now: Callable[[], float] = time.time


def pages_router(
    templates: Templates,
    settings: PageSettings,
    csrf_token: Callable[[Request], str],
    asyncapi: Mapping[str, object] | None = None,
) -> APIRouter:
    """Return the routes of all pages.

    Args:
        templates: Renders them.
        settings: What they are told.
        csrf_token: Returns the token for forms on a page answered to this request.
        asyncapi: The document of the sockets' messages; None leaves it out.
    """
    router = APIRouter(include_in_schema=False)

    def page(request: Request, principal: Principal, template: str, name: str, **more: Any) -> Response:
        context = {
            "page": name,
            "principal": principal,
            "csrf_token": csrf_token(request),
            "node": settings.node,
            "demo": settings.demo,
            "may_export": settings.may_export,
            "exports_masked": settings.exports_masked,
        }
        return templates.render(request, template, {**context, **more})

    @router.get("/")
    def start(request: Request, principal: Annotated[Principal, Depends(current_principal)]) -> Response:
        """Lead to the best page for the principal; one who may see none is told whom to ask."""
        if principal.is_admin:
            return RedirectResponse("/admin/websockets", status_code=303)
        if principal.can("market:view"):
            return RedirectResponse("/streaming", status_code=303)
        if principal.can("quote:view"):
            return RedirectResponse("/quotes", status_code=303)
        return page(request, principal, "welcome.html", "welcome")

    @router.get("/streaming")
    def streaming(
        request: Request, principal: Annotated[Principal, Depends(require_permission("market:view"))]
    ) -> Response:
        """The watch list."""
        return page(
            request,
            principal,
            "streaming.html",
            "streaming",
            data_notice=settings.data_notice,
            server_time=f"{settings.now():.3f}",
        )

    _add_quotes(router, page, settings)
    _add_analytics(router, page, settings)
    add_operator_pages(router, page, data_notice=settings.data_notice, now=settings.now)
    _add_documents(router, page, asyncapi)
    return router


def _add_documents(router: APIRouter, page: Callable[..., Response], asyncapi: Mapping[str, object] | None) -> None:
    """Add what describes the programs' side."""

    @router.get("/docs")
    def docs(request: Request, principal: Annotated[Principal, Depends(current_principal)]) -> Response:
        """The HTTP API, browsable, from our own files."""
        return page(request, principal, "api_docs.html", "docs")

    @router.get("/openapi.json")
    def openapi(request: Request, _principal: Annotated[Principal, Depends(current_principal)]) -> Response:
        """The HTTP API for programs; it names every route, so it is not for strangers."""
        return JSONResponse(request.app.openapi(), headers={"Cache-Control": "no-store"})

    if asyncapi is not None:

        @router.get("/asyncapi.json")
        def messages(_principal: Annotated[Principal, Depends(current_principal)]) -> Response:
            """The hub's messages for programs."""
            return JSONResponse(asyncapi, headers={"Cache-Control": "no-store"})


def _add_quotes(router: APIRouter, page: Callable[..., Response], settings: PageSettings) -> None:
    """Add the pages of quotes; ``page`` renders one for somebody."""

    @router.get("/quotes")
    def quotes(
        request: Request, principal: Annotated[Principal, Depends(require_permission("quote:view"))]
    ) -> Response:
        """The list of quotes."""
        return page(request, principal, "quotes.html", "quotes", server_time=f"{settings.now():.3f}")

    @router.get("/quotes/{quote_id}")
    def quote(
        request: Request, quote_id: str, principal: Annotated[Principal, Depends(require_permission("quote:view"))]
    ) -> Response:
        """One quote; whether there is one of this number, its room says."""
        if _NUMBER.fullmatch(quote_id) is None:
            raise NotFound(
                "There is no such page.",
                required_action="Choose a quote from the list of quotes.",
                will_not="Tidewire will not guess which quote was meant.",
            )
        now = f"{settings.now():.3f}"
        return page(request, principal, "quote.html", "quotes", quote_id=quote_id, server_time=now)


def _add_analytics(router: APIRouter, page: Callable[..., Response], settings: PageSettings) -> None:
    """Add the dashboards of figures; ``page`` renders one for somebody."""

    @router.get("/analytics")
    def analytics(
        request: Request, principal: Annotated[Principal, Depends(require_permission("analytics:read"))]
    ) -> Response:
        """Figures over quotes and over the platform's work."""
        return page(request, principal, "analytics.html", "analytics", server_time=f"{settings.now():.3f}")


class BuiltFiles(StaticFiles):
    """Serves static/: hashed names for good, fixed names revalidated each time. The manifest is not served."""

    def lookup_path(self, path: str) -> tuple[str, stat_result | None]:
        """Find a file; dot files and folders are not there."""
        if any(piece.startswith(".") for piece in path.replace("\\", "/").split("/")):
            return "", None
        return super().lookup_path(path)

    def file_response(
        self, full_path: str | PathLike[str], stat_result: stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """Answer with the file and how long it may be kept."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["Cache-Control"] = _FOREVER if "/assets/" in scope["path"] else "no-cache"
        return response


def static_mount(templates: Templates) -> Mount:
    """Return the mount of the built files at /static."""
    return Mount("/static", app=BuiltFiles(directory=templates.static), name="static")
