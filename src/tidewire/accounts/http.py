"""FastAPI dependencies that ask the rule book. It must not know how a principal was found;
the door puts it on the request.

``web/session.py`` sets ``request.state.principal`` (Principal or None) before any route runs, and
``request.state.principal_error`` if it could not find out.
"""

from __future__ import annotations

from collections.abc import Callable
from weakref import WeakSet

from fastapi import Request
from starlette.requests import HTTPConnection

from tidewire.accounts.api_keys import PREFIX, ApiKeys
from tidewire.accounts.model import Principal, Role
from tidewire.core.errors import Forbidden, StoreError, Unauthenticated

# The dependencies that let only some pass: whatever else is wrong with a request, they are asked first.
GUARDS: WeakSet[Callable[[Request], Principal]] = WeakSet()


def current_principal(request: Request) -> Principal:
    """Return the logged-in principal. Raises Unauthenticated, or StoreError if nobody can tell who it is."""
    error: StoreError | None = getattr(request.state, "principal_error", None)
    if error is not None:
        raise error
    principal: Principal | None = getattr(request.state, "principal", None)
    if principal is None:
        raise Unauthenticated(
            "You are not logged in, or your session has ended.",
            required_action="Log in at /login, then try again.",
            will_not="Tidewire will not answer this request anonymously.",
        )
    return principal


def caller(request: HTTPConnection) -> str:
    """Return the address that a request came from, for the audit; empty if there is none."""
    return request.client.host if request.client is not None else ""


def require_role(role: Role) -> Callable[[Request], Principal]:
    """Return a dependency that passes principals of ``role`` or higher. Raises Unauthenticated or Forbidden."""

    def dependency(request: Request) -> Principal:
        principal = current_principal(request)
        if principal.role < role:
            raise Forbidden(
                f"This needs the role {role.label}; you are {principal.role.label}.",
                required_action="Ask an administrator for the role, or log in as somebody who has it.",
                will_not="Tidewire will not show or do any part of it.",
                details={"role": role.label},
            )
        return principal

    GUARDS.add(dependency)
    return dependency


def require_permission(permission: str) -> Callable[[Request], Principal]:
    """Return a dependency that passes principals with ``permission``. Raises Unauthenticated or Forbidden."""

    def dependency(request: Request) -> Principal:
        principal = current_principal(request)
        if not principal.can(permission):
            raise Forbidden(
                f"This needs the permission {permission}, which you do not have.",
                required_action="Ask an administrator to grant it.",
                will_not="Tidewire will not show or do any part of it.",
                details={"permission": permission},
            )
        return principal

    GUARDS.add(dependency)
    return dependency


class Callers:
    """Who calls an API: a program with a key, or somebody's browser."""

    def __init__(self, keys: ApiKeys) -> None:
        self._keys = keys

    async def of(self, request: Request) -> Principal:
        """Return who asks: an API key if one is shown, else the session. Raises Unauthenticated or StoreError."""
        return await self.with_key(request) if "authorization" in request.headers else current_principal(request)

    async def with_key(self, request: Request) -> Principal:
        """Return whom the API key stands for. Raises Unauthenticated, Forbidden (banned) or StoreError."""
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        principal = await self._keys.load(key.strip()) if scheme.lower() == "bearer" else None
        if principal is None:
            raise Unauthenticated(
                "No valid API key came with the request.",
                required_action=f"Send Authorization: Bearer {PREFIX}...; `tidewire token create` makes a key.",
                will_not="Tidewire will not do anything for somebody it does not know.",
            )
        self._keys.bar(principal.user_id)
        return principal
