"""The page on which somebody chooses a password of their own. It must not know how one is checked or kept.

Whoever must change it is led here by web/password_guard.py; everybody who is logged in may.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from tidewire.accounts.http import caller, current_principal
from tidewire.accounts.model import Principal
from tidewire.accounts.service import Accounts
from tidewire.core.errors import InvalidRequest, RequestError
from tidewire.web.csrf import FIELD
from tidewire.web.form import Forms
from tidewire.web.redirect import PASSWORD, local_path

# Codes that have words of their own in the catalogues, as ``password.error.CODE``.
WORDED = frozenset({"wrong_password", "weak_password", "password_unchanged", "password_repeat", "rate_limited"})


class PasswordPage:
    """GET and POST of ``/password``; see the module's text."""

    def __init__(self, accounts: Accounts, forms: Forms) -> None:
        self._accounts = accounts
        self._forms = forms

    def router(self) -> APIRouter:
        """Return both routes."""
        router = APIRouter(include_in_schema=False)
        router.add_api_route(PASSWORD, self.show, methods=["GET"], response_model=None)
        router.add_api_route(PASSWORD, self.change, methods=["POST"], response_model=None)
        return router

    async def show(self, request: Request, principal: Annotated[Principal, Depends(current_principal)]) -> Response:
        """Show the form."""
        return self._form(request, principal, local_path(request.query_params.get("next")), None)

    async def change(self, request: Request, principal: Annotated[Principal, Depends(current_principal)]) -> Response:
        """Check the form and change the password; on any failure show the form again with the reason."""
        form = await self._forms.fields(request)
        back = local_path(form.get("next"))
        try:
            self._forms.csrf.check(principal.session_id, form.get(FIELD))
            new = form.get("new", "")
            if new != form.get("again", new):
                raise _not_repeated()
            opened = await self._accounts.change_own_password(
                principal,
                form.get("present", ""),
                new,
                ip=caller(request),
                user_agent=request.headers.get("user-agent", ""),
            )
        except RequestError as error:
            return self._forms.for_program(request, error) or self._form(request, principal, back, error)
        return self._forms.leave(request, opened, back or self._forms.home)

    def _form(self, request: Request, principal: Principal, back: str | None, error: RequestError | None) -> Response:
        context = {
            "csrf_token": self._forms.csrf.token(principal.session_id),
            "username": principal.username,
            "must": principal.must_change_password,
            "worded": WORDED,
        }
        return self._forms.show(request, "password.html", back, error, context)


def _not_repeated() -> InvalidRequest:
    return InvalidRequest(
        "The new password was not typed the same way twice.",
        required_action="Type it again in both fields.",
        will_not="Tidewire will not change the password.",
        code="password_repeat",
    )
