"""Form tokens: a form is believed only with a token that this server made for this session. It must not know forms.

A token is ``salt.mac``; the MAC binds the salt to the session's public id, or, before a login, to a random value in a
cookie of its own. The salt changes each time, so that compressed pages do not leak it (BREACH).
Source: OWASP CSRF Prevention Cheat Sheet, "HMAC Based Token Pattern".
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets

from starlette.requests import HTTPConnection
from starlette.responses import Response

from tidewire.accounts.keys import derive_key
from tidewire.core.errors import Forbidden
from tidewire.web.session import SessionCookies, cookie_from_scope

FORM_COOKIE = "tidewire_form"
FIELD = "csrf_token"
_NONCE = re.compile(r"[0-9a-f]{32}")


class Csrf:
    """Makes and checks form tokens.

    Args:
        secret_key: TIDEWIRE_SECRET_KEY.
        cookies: Says whether a cookie must be Secure.
    """

    def __init__(self, secret_key: str, cookies: SessionCookies) -> None:
        self._key = derive_key(secret_key, "form")
        self._cookies = cookies

    def token(self, session_id: str) -> str:
        """Return a token for the forms of a logged-in user's page."""
        return self._make(f"session:{session_id}")

    def check(self, session_id: str, token: object) -> None:
        """Raise Forbidden (``csrf_failed``) unless ``token`` was made for this session."""
        self._check(f"session:{session_id}", token)

    def anonymous_token(self, request: HTTPConnection) -> tuple[str, str]:
        """Return a token for a form of somebody not logged in, and the value for ``set_cookie``."""
        nonce = self._nonce(request) or secrets.token_hex(16)
        return self._make(f"form:{nonce}"), nonce

    def check_anonymous(self, request: HTTPConnection, token: object) -> None:
        """Raise Forbidden (``csrf_failed``) unless ``token`` was made for this browser."""
        nonce = self._nonce(request)
        if nonce is None:
            raise _refused()
        self._check(f"form:{nonce}", token)

    def set_cookie(self, request: HTTPConnection, response: Response, nonce: str) -> None:
        """Hand the browser the value that its anonymous forms are bound to."""
        response.set_cookie(
            FORM_COOKIE, nonce, path="/login", httponly=True, samesite="lax", secure=self._cookies.secure(request)
        )

    def _nonce(self, request: HTTPConnection) -> str | None:
        value = cookie_from_scope(request.scope, FORM_COOKIE)
        return value if value is not None and _NONCE.fullmatch(value) else None

    def _make(self, subject: str) -> str:
        salt = secrets.token_hex(8)
        return f"{salt}.{self._mac(salt, subject)}"

    def _check(self, subject: str, token: object) -> None:
        text = token if isinstance(token, str) else ""
        salt, _, mac = text.partition(".")
        # Compared as bytes: compare_digest refuses text beyond ASCII.
        if not hmac.compare_digest(mac.encode(), self._mac(salt, subject).encode()):
            raise _refused()

    def _mac(self, salt: str, subject: str) -> str:
        return hmac.digest(self._key, f"{salt}|{subject}".encode(), hashlib.sha256).hex()


def _refused() -> Forbidden:
    return Forbidden(
        "The form was too old, or it did not come from this site.",
        required_action="Send it again from the page as it is now. Cookies must be allowed.",
        will_not="Tidewire will not act on a form that another site may have sent.",
        code="csrf_failed",
    )
