"""The login and logout pages. It must not know how a password is checked or a session kept.

Every failed login reads the same. After a login the browser is sent only to a path of this site.
"""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from tidewire.accounts.http import current_principal
from tidewire.accounts.model import Principal
from tidewire.accounts.service import Accounts
from tidewire.core.errors import RequestError, Unauthenticated, WrongMediaType
from tidewire.web.csrf import FIELD, Csrf
from tidewire.web.problem import ErrorAnswers, error_headers, wants_html
from tidewire.web.redirect import LOGIN, local_path
from tidewire.web.session import SessionCookies, session_token_from_scope
from tidewire.web.templating import Templates

FORM = "application/x-www-form-urlencoded"


class LoginPages:
    """GET and POST of ``/login`` and ``/logout``.

    Args:
        answers: Answers programs, which get no page.
        home: Where a login leads that came from nowhere.
    """

    def __init__(
        self,
        accounts: Accounts,
        templates: Templates,
        csrf: Csrf,
        cookies: SessionCookies,
        answers: ErrorAnswers,
        *,
        home: str = "/",
    ) -> None:
        self._accounts = accounts
        self._templates = templates
        self._csrf = csrf
        self._cookies = cookies
        self._answers = answers
        self._home = home

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
            return _go(back or self._home)
        return self._login_form(request, back)

    async def log_in(self, request: Request) -> Response:
        """Check the form and open a session; on any failure show the form again with the reason."""
        form = await _fields(request)
        back, username = local_path(form.get("next")), form.get("username", "")
        try:
            self._csrf.check_anonymous(request, form.get(FIELD))
            opened = await self._accounts.log_in(
                username,
                form.get("password", ""),
                ip=request.client.host if request.client else "",
                user_agent=request.headers.get("user-agent", ""),
                previous_token=session_token_from_scope(request.scope),
            )
        except RequestError as exc:
            return self._refuse(request, exc, back, username)
        response = _go(back or self._home)
        self._cookies.set(request, response, opened.token)
        return response

    async def show_logout(self, request: Request) -> Response:
        """Ask before logging out: a link must not be able to do it."""
        principal = _principal(request)
        if principal is None:
            return _go(LOGIN)
        return self._templates.render(request, "logout.html", {"csrf_token": self._csrf.token(principal.session_id)})

    async def log_out(self, request: Request) -> Response:
        """End the session, close its sockets and forget the cookie."""
        form = await _fields(request)
        principal = _principal(request)
        if principal is not None:
            self._csrf.check(principal.session_id, form.get(FIELD))
            token = session_token_from_scope(request.scope)
            if token is not None:
                await self._accounts.log_out(token, ip=request.client.host if request.client else "")
        response = _go(LOGIN)
        self._cookies.clear(request, response)
        return response

    def _refuse(self, request: Request, error: RequestError, back: str | None, username: str) -> Response:
        if not wants_html(request):
            return self._answers.document(request, error)
        return self._login_form(request, back, username=username[:200], error=error)

    def _login_form(
        self, request: Request, back: str | None, *, username: str = "", error: RequestError | None = None
    ) -> Response:
        token, nonce = self._csrf.anonymous_token(request)
        context = {
            "csrf_token": token,
            "next": back or "",
            "username": username,
            "error": None if error is None else {"message": error.message, "required_action": error.required_action},
        }
        response = self._templates.render(request, "login.html", context, status=200 if error is None else error.status)
        if error is not None:
            response.headers.update(error_headers(error))
        self._csrf.set_cookie(request, response, nonce)
        return response


def _principal(request: Request) -> Principal | None:
    """Return who is logged in, or None. Raises StoreError if that cannot be found out."""
    try:
        return current_principal(request)
    except Unauthenticated:
        return None


async def _fields(request: Request) -> dict[str, str]:
    """Return the text fields of a posted form. Raises WrongMediaType, and HTTPException for a malformed one."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise WrongMediaType(
            f"This form is sent as {FORM}.",
            required_action="Send it from the page.",
            will_not="Tidewire will not read another format here.",
        )
    async with request.form(max_files=0, max_fields=10) as form:
        return {key: value for key, value in form.items() if isinstance(value, str)}


def _go(path: str) -> Response:
    # 303: the browser follows with GET, whatever this request was.
    return RedirectResponse(path, status_code=303, headers={"Cache-Control": "no-store"})
