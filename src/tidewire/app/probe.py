"""A port of one process's own for health and metrics: behind a shared port nobody can choose whom to ask.

It must not serve anything else.
"""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry

from tidewire.core.errors import RequestError
from tidewire.settings import Settings
from tidewire.web.health import Check, Insiders, health_router
from tidewire.web.server import WebServer


class Probe:
    """See the module's text.

    Args:
        offset: Added to TIDEWIRE_METRICS_PORT: 0 for a process on its own and for a supervisor, 1..N for its workers.
    """

    def __init__(
        self, settings: Settings, offset: int, checks: Mapping[str, Check], registry: CollectorRegistry
    ) -> None:
        assert settings.metrics_port is not None  # noqa: S101 - the caller asks for a probe only if there is a port
        token = settings.metrics_token.get_secret_value() if settings.metrics_token else None
        self._app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        self._app.include_router(health_router(checks, registry, Insiders(token)))
        self._app.add_exception_handler(RequestError, _refuse)
        self._host = f"[{settings.metrics_host}]" if ":" in settings.metrics_host else settings.metrics_host
        # A successor is started before its predecessor ends, so for a moment both listen.
        port = settings.metrics_port + offset if settings.metrics_port else 0
        self.server = WebServer(
            host=settings.metrics_host, port=port, reuse_port=offset > 0, chosen_by="TIDEWIRE_METRICS_PORT"
        )

    @property
    def url(self) -> str:
        """Where it answers, once started."""
        return f"http://{self._host}:{self.server.port}"

    async def start(self) -> None:
        """Listen. Raises SettingsError if the port is taken."""
        await self.server.start(self._app)

    async def stop(self) -> None:
        """Close the port. Idempotent."""
        await self.server.stop()


async def _refuse(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestError)  # noqa: S101 - registered for it alone
    return JSONResponse(error.describe(), error.status)
