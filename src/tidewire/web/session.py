"""The session cookie: reads it, sets it, and puts the principal on every request and WebSocket.

It must not know what a session is made of; accounts does. Pure ASGI, so that a Socket.IO handshake is seen too.
"""

from __future__ import annotations

from collections.abc import Iterator

from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from tidewire.accounts.service import Accounts
from tidewire.core.errors import StoreError

SESSION_COOKIE = "tidewire_session"
# Paths where nobody's session matters; a database that is down must not make them slow.
SKIPPED = ("/static/", "/livez", "/readyz")


class SessionLoader:
    """Sets ``scope["state"]["principal"]`` to a Principal or None before anything else looks at the request.

    If the database cannot be asked, the principal is None and ``principal_error`` holds the StoreError: pages that need
    nobody still work, those that need somebody answer 503 instead of sending the user to log in.
    """

    def __init__(self, app: ASGIApp, accounts: Accounts) -> None:
        self.app = app
        self._accounts = accounts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the request."""
        if scope["type"] in ("http", "websocket"):
            state = scope.setdefault("state", {})
            state["principal"], state["principal_error"] = None, None
            token = session_token_from_scope(scope)
            if token is not None and not scope["path"].startswith(SKIPPED):
                try:
                    state["principal"] = await self._accounts.load_session(token)
                except StoreError as exc:
                    state["principal_error"] = exc
        await self.app(scope, receive, send)


class SessionCookies:
    """Writes the session cookie.

    Args:
        secure: Always mark it Secure; otherwise only on requests that came over TLS.
        max_age_s: How long the browser keeps it: a session's absolute life.
    """

    def __init__(self, *, secure: bool, max_age_s: float) -> None:
        self._secure = secure
        self._max_age_s = int(max_age_s)

    def set(self, request: HTTPConnection, response: Response, token: str) -> None:
        """Hand the browser its session. Lax: a link from a chat to a page must find the user logged in."""
        response.set_cookie(
            SESSION_COOKIE,
            token,
            max_age=self._max_age_s,
            path="/",
            httponly=True,
            samesite="lax",
            secure=self.secure(request),
        )

    def clear(self, request: HTTPConnection, response: Response) -> None:
        """Make the browser forget its session."""
        response.delete_cookie(SESSION_COOKIE, path="/", httponly=True, samesite="lax", secure=self.secure(request))

    def secure(self, request: HTTPConnection) -> bool:
        """Whether cookies of this answer are marked Secure."""
        return self._secure or request.scope.get("scheme") in ("https", "wss")


def session_token_from_scope(scope: Scope) -> str | None:
    """Return the secret in the session cookie of an ASGI scope; None if there is none, or more than one.

    Two cookies of one name mean that another site of the same domain planted one; neither is believed (RFC 6265
    section 8.6, weak integrity).
    """
    return cookie_from_scope(scope, SESSION_COOKIE)


def cookie_from_scope(scope: Scope, name: str) -> str | None:
    """Return the value of the only cookie called ``name``, or None."""
    values = [value for key, value in _cookies(scope) if key == name]
    return values[0] if len(values) == 1 else None


def has_cookies(scope: Scope) -> bool:
    """Whether the request carries any cookie."""
    return any(key.lower() == b"cookie" for key, _ in scope["headers"])


def _cookies(scope: Scope) -> Iterator[tuple[str, str]]:
    for key, value in scope["headers"]:
        if key.lower() == b"cookie":
            for part in value.decode("latin-1").split(";"):
                name, _, text = part.strip().partition("=")
                yield name.strip(), text.strip().strip('"')
