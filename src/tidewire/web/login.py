"""The login and logout pages. It must not know how a password is checked or a session kept.

Every failed login reads the same. After a login the browser is sent only to a path of this site.
"""

from __future__ import annotations

from urllib.parse import quote

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from tidewire.accounts.http import caller, current_principal
from tidewire.accounts.model import Principal
from tidewire.accounts.service import Accounts
from tidewire.core.errors import RequestError, Unauthenticated
from tidewire.web.csrf import FIELD
from tidewire.web.form import Forms, go
from tidewire.web.redirect import LOGIN, PASSWORD, local_path
from tidewire.web.session import session_token_from_scope


class LoginPages:
    """GET and POST of ``/login`` and ``/logout``."""

    def __init__(self, accounts: Accounts, forms: Forms) -> None:
        self._accounts = accounts
        self._forms = forms

    def router(self) -> APIRouter:
        """Return the four routes."""
        router = APIRouter(include_in_schema=False)
        router.add_api_route("/login", self.show_login, methods=["GET"], response_model=None)
        router.add_api_route("/login", self.log_in, methods=["POST"], response_model=None)
        router.add_api_route("/logout", self.show_logout, methods=["GET"], response_model=None)
        router.add_api_route("/logout", self.log_out, methods=["POST"], response_model=None)
        return router

    async def show_login(self, request: Request) -> Response:
        """Show the form, or send on whoever is logged in already."""
        back = local_path(request.query_params.get("next"))
        if _principal(request) is not None:
            return go(back or self._forms.home)
        return self._login_form(request, back)

    async def log_in(self, request: Request) -> Response:
        """Check the form and open a session; on any failure show the form again with the reason."""
        form = await self._forms.fields(request)
        back, username = local_path(form.get("next")), form.get("username", "")
        try:
            self._forms.csrf.check_anonymous(request, form.get(FIELD))
            opened = await self._accounts.log_in(
                username,
                form.get("password", ""),
                ip=caller(request),
                user_agent=request.headers.get("user-agent", ""),
                previous_token=session_token_from_scope(request.scope),
            )
        except RequestError as exc:
            told = self._forms.for_program(request, exc)
            return told or self._login_form(request, back, username=username, error=exc)
        target = back or self._forms.home
        if opened.principal.must_change_password:
            target = f"{PASSWORD}?next={quote(target, safe='/')}"
        return self._forms.leave(request, opened, target)

    async def show_logout(self, request: Request) -> Response:
        """Ask before logging out: a link must not be able to do it."""
        principal = _principal(request)
        if principal is None:
            return go(LOGIN)
        token = self._forms.csrf.token(principal.session_id)
        return self._forms.templates.render(request, "logout.html", {"csrf_token": token})

    async def log_out(self, request: Request) -> Response:
        """End the session, close its sockets and forget the cookie."""
        form = await self._forms.fields(request)
        principal = _principal(request)
        if principal is not None:
            self._forms.csrf.check(principal.session_id, form.get(FIELD))
            token = session_token_from_scope(request.scope)
            if token is not None:
                await self._accounts.log_out(token, ip=caller(request))
        response = go(LOGIN)
        self._forms.cookies.clear(request, response)
        return response

    def _login_form(
        self, request: Request, back: str | None, *, username: str = "", error: RequestError | None = None
    ) -> Response:
        token, nonce = self._forms.csrf.anonymous_token(request)
        context = {"csrf_token": token, "username": username[:200]}
        response = self._forms.show(request, "login.html", back, error, context)
        self._forms.csrf.set_cookie(request, response, nonce)
        return response


def _principal(request: Request) -> Principal | None:
    """Return who is logged in, or None. Raises StoreError if that cannot be found out."""
    try:
        return current_principal(request)
    except Unauthenticated:
        return None
