"""The guard that holds back whoever must change the password first. It must not know users or passwords.

Pure ASGI, behind what loads the session, so that Socket.IO passes it too; the hub's sockets have their own door
(hub/door.py). A browser is led to the page on which the password is changed, everybody else is told.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from tidewire.accounts.own_password import change_required
from tidewire.web.problem import ErrorAnswers, wants_html
from tidewire.web.redirect import LOGIN, PASSWORD, login_redirect
from tidewire.web.security import OPEN_PATHS, refuse

STATIC = "/static/"
# Where somebody may go who must change the password: to do so, or to leave.
FORMS = (PASSWORD, LOGIN, "/logout")


class PasswordGuard:
    """See the module's text."""

    def __init__(self, app: ASGIApp, answers: ErrorAnswers) -> None:
        self.app = app
        self._answers = answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the request, lead to the page, or answer why not."""
        if scope["type"] not in ("http", "websocket") or not _held(scope):
            await self.app(scope, receive, send)
        elif scope["type"] == "http" and scope["method"] in ("GET", "HEAD") and wants_html(Request(scope)):
            await login_redirect(Request(scope), PASSWORD)(scope, receive, send)
        else:
            await refuse(self._answers, change_required(), scope, receive, send)


def _held(scope: Scope) -> bool:
    principal = scope["state"].get("principal")
    if principal is None or not principal.must_change_password:
        return False
    path: str = scope["path"]
    return not (path in OPEN_PATHS or path in FORMS or path.startswith(STATIC))
