"""Builds the HTTP application: guards in their order, error answers, login pages. It must not know any feature.

``app.py`` adds the features' routes and mounts to what this returns.
"""

from __future__ import annotations

from typing import Any

from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from tidewire.accounts.bans import Bans
from tidewire.accounts.service import Accounts
from tidewire.core.errors import TidewireError
from tidewire.web.ban_guard import AddressBans, UserBans
from tidewire.web.context import FaultBarrier, HttpCounters, RequestContext
from tidewire.web.csrf import Csrf
from tidewire.web.form import Forms
from tidewire.web.login import LoginPages
from tidewire.web.password_guard import PasswordGuard
from tidewire.web.password_page import PasswordPage
from tidewire.web.problem import ErrorAnswers
from tidewire.web.security import BodyLimit, HostGuard, HttpSecurity, OriginGuard, SecurityHeaders
from tidewire.web.session import SessionCookies, SessionLoader
from tidewire.web.strict_query import known_parameters_only
from tidewire.web.templating import Templates


class Door:
    """The application and the parts that pages need.

    Attributes:
        app: The FastAPI application.
        csrf: Makes the tokens for forms on the pages of a logged-in user.
        counters: What was answered, for metrics.
        answers: Makes the answers to failed requests.
    """

    def __init__(self, app: FastAPI, csrf: Csrf, counters: HttpCounters, answers: ErrorAnswers) -> None:
        self.answers = answers
        self.app = app
        self.csrf = csrf
        self.counters = counters


def create_http(
    *,
    version: str,
    accounts: Accounts,
    templates: Templates,
    rules: HttpSecurity,
    secret_key: str,
    bans: Bans | None = None,
    title: str = "Tidewire",
    home: str = "/",
    **fastapi_options: Any,
) -> Door:
    """Return the application with every guard in place and the login pages mounted.

    Args:
        rules: From ``HttpSecurity.build``.
        secret_key: TIDEWIRE_SECRET_KEY, for form tokens.
        bans: Who is kept out; None keeps nobody out.
        home: Where a login leads that came from nowhere.
        fastapi_options: Passed on, such as ``lifespan``.

    Raises:
        SettingsError: The secret is too short.
    """
    answers, counters = ErrorAnswers(templates), HttpCounters()
    cookies = SessionCookies(secure=rules.secure, max_age_s=accounts.sessions.rules.absolute_s)
    csrf = Csrf(secret_key, cookies)
    # /docs would load from a foreign host; redirects on a slash would be built from the Host header.
    # The schema names every route, so pages.py serves it to those who are logged in.
    options = {
        "docs_url": None,
        "redoc_url": None,
        "openapi_url": None,
        "redirect_slashes": False,
        "dependencies": [Depends(known_parameters_only)],
        **fastapi_options,
    }
    app = FastAPI(title=title, version=version, **options)
    for error in (TidewireError, HTTPException, RequestValidationError):
        app.add_exception_handler(error, answers.handle)
    _add_guards(app, accounts, rules, answers, counters, bans)
    forms = Forms(templates, csrf, cookies, answers, home=home)
    for pages in (LoginPages, PasswordPage):
        app.include_router(pages(accounts, forms).router())
    return Door(app, csrf, counters, answers)


def _add_guards(
    app: FastAPI,
    accounts: Accounts,
    rules: HttpSecurity,
    answers: ErrorAnswers,
    counters: HttpCounters,
    bans: Bans | None,
) -> None:
    # The last one added runs first: read from the bottom up for the way of a request.
    app.add_middleware(PasswordGuard, answers=answers)
    if bans is not None:
        app.add_middleware(UserBans, bans=bans, answers=answers)
    app.add_middleware(SessionLoader, accounts=accounts)
    if bans is not None:
        # Before anything of a banned address costs a look into the database.
        app.add_middleware(AddressBans, bans=bans, answers=answers)
    app.add_middleware(OriginGuard, rules=rules, answers=answers)
    app.add_middleware(BodyLimit, rules=rules, answers=answers)
    app.add_middleware(HostGuard, rules=rules, answers=answers)
    app.add_middleware(FaultBarrier, answers=answers, counters=counters)
    app.add_middleware(SecurityHeaders, rules=rules)
    app.add_middleware(RequestContext, counters=counters)
