"""What the forms share that open a session: how they are read, shown again with the reason, and left with a cookie.

It must not know what is asked for, or how it is checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from tidewire.accounts.sessions import OpenedSession
from tidewire.core.errors import RequestError, WrongMediaType
from tidewire.web.csrf import Csrf
from tidewire.web.problem import ErrorAnswers, error_headers, wants_html
from tidewire.web.session import SessionCookies
from tidewire.web.templating import Templates

FORM = "application/x-www-form-urlencoded"


class Forms:
    """See the module's text.

    Args:
        answers: Answers programs, which get no page.
        home: Where a form leads that came from nowhere.
    """

    def __init__(
        self, templates: Templates, csrf: Csrf, cookies: SessionCookies, answers: ErrorAnswers, *, home: str = "/"
    ) -> None:
        self.templates = templates
        self.csrf = csrf
        self.cookies = cookies
        self.home = home
        self._answers = answers

    async def fields(self, request: Request) -> dict[str, str]:
        """Return the text fields of a posted form. Raises WrongMediaType, and HTTPException for a malformed one."""
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
            raise WrongMediaType(
                f"This form is sent as {FORM}.",
                required_action="Send it from the page.",
                will_not="Tidewire will not read another format here.",
            )
        async with request.form(max_files=0, max_fields=10) as form:
            return {key: value for key, value in form.items() if isinstance(value, str)}

    def for_program(self, request: Request, error: RequestError) -> Response | None:
        """Return why a form was refused as a document; None if a browser asked, which gets the form again."""
        return None if wants_html(request) else self._answers.document(request, error)

    def show(
        self, request: Request, page: str, back: str | None, error: RequestError | None, context: Mapping[str, Any]
    ) -> Response:
        """Return the form; with ``error`` also why it was refused.

        Args:
            page: Its template, which sees ``context``, ``next`` and ``error``.
            back: Where it leads in the end.
        """
        seen = {**context, "next": back or "", "error": error}
        response = self.templates.render(request, page, seen, status=200 if error is None else error.status)
        if error is not None:
            response.headers.update(error_headers(error))
        return response

    def leave(self, request: Request, opened: OpenedSession, target: str) -> Response:
        """Return the way to a path of this site, with the new session's cookie."""
        response = go(target)
        self.cookies.set(request, response, opened.token)
        return response


def go(path: str) -> Response:
    """Return the way to a path of this site after a form."""
    # 303: the browser follows with GET, whatever this request was.
    return RedirectResponse(path, status_code=303, headers={"Cache-Control": "no-store"})
