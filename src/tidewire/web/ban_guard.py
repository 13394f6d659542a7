"""The guards that keep banned addresses and users out, behind the door. It must not know how bans are made.

Pure ASGI, for http and websocket scopes, so that Socket.IO passes them too. They ask a list in memory. Open to all stay
what machines ask for (is the process alive), the files a page needs to say why it is refused, and logging out.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from tidewire.accounts.bans import Bans
from tidewire.core.errors import Forbidden
from tidewire.web.problem import ErrorAnswers
from tidewire.web.security import OPEN_PATHS, refuse

STATIC = "/static/"
LEAVING = "/logout"


class _Guard:
    """Refuses what ``check`` raises Forbidden for."""

    def __init__(self, app: ASGIApp, bans: Bans, answers: ErrorAnswers) -> None:
        self.app = app
        self.bans = bans
        self._answers = answers

    async def guarded(self, check: Callable[[Scope], None], scope: Scope, receive: Receive, send: Send) -> None:
        """Run the request, or answer why not."""
        if scope["type"] in ("http", "websocket") and not _is_open(scope["path"]):
            try:
                check(scope)
            except Forbidden as error:
                await refuse(self._answers, error, scope, receive, send)
                return
        await self.app(scope, receive, send)


class AddressBans(_Guard):
    """Refuses banned addresses: the client's as uvicorn tells it, which believes trusted proxies only."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the request."""
        await self.guarded(self._check, scope, receive, send)

    def _check(self, scope: Scope) -> None:
        client = scope.get("client")
        if client:
            self.bans.check_address(client[0])


class UserBans(_Guard):
    """Refuses banned users who have a session; stands behind what loads it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the request."""
        await self.guarded(self._check, scope, receive, send)

    def _check(self, scope: Scope) -> None:
        principal = scope["state"].get("principal")
        if principal is not None and scope["path"] != LEAVING:
            self.bans.check_user(principal.user_id)


def _is_open(path: str) -> bool:
    return path in OPEN_PATHS or path.startswith(STATIC)
