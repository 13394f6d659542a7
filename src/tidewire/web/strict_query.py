"""Refuses a request to an API whose query names what the route does not take, or says one thing twice.

A filter that is not known must not be left out in silence: the answer would show more than was asked for. It must not
know any route: what one takes is read from its declaration. Source: contract.md principle "no silent fallback".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, get_args, get_origin

from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.requests import HTTPConnection, Request

from tidewire.accounts.http import GUARDS

# A refusal names so many at most, and so much of each: what a caller puts there has no bound of its own.
_NAMED_MAX, _NAME_CHARS = 20, 40


def known_parameters_only(request: HTTPConnection) -> None:
    """Pass what the route takes, for every route of an API. Raises RequestValidationError, or what its guards raise."""
    route = request.scope.get("route")
    if not request.scope["query_string"] or not isinstance(request, Request) or not isinstance(route, APIRoute):
        return
    if not route.path.startswith("/api/"):
        return
    if getattr(request.state, "principal", None) is None and "authorization" not in request.headers:
        # Strangers are refused as such, before anything is said of the route, also where the route itself asks.
        return
    taken = dict(_parameters(route.dependant))
    given = Counter(name for name, _ in request.query_params.multi_items())
    problems = [problem for name, times in given.items() if (problem := _problem(name, times, taken)) is not None]
    if problems:
        # Who may not call it is told that, not what it takes.
        for guard in _guards(route.dependant):
            guard(request)
        raise RequestValidationError(problems[:_NAMED_MAX])


def _problem(name: str, times: int, taken: dict[str, bool]) -> dict[str, Any] | None:
    if name not in taken:
        there_are = f"There are: {', '.join(sorted(taken))}." if taken else "There are none."
        what = {"type": "extra_forbidden", "msg": f"There is no such parameter here. {there_are}"}
    elif times > 1 and not taken[name]:
        what = {"type": "given_twice", "msg": f"It is given {times} times, which may mean either."}
    else:
        return None
    return {**what, "loc": ("query", name[:_NAME_CHARS])}


def _parameters(dependant: Dependant) -> Iterator[tuple[str, bool]]:
    """Yield each parameter's name, and whether it may be given more than once."""
    for field in dependant.query_params:
        yield field.alias, _is_list(field.field_info.annotation)
    for needed in dependant.dependencies:
        yield from _parameters(needed)


def _guards(dependant: Dependant) -> Iterator[Callable[[Request], object]]:
    for needed in dependant.dependencies:
        yield from (guard for guard in GUARDS if guard is needed.call)
        yield from _guards(needed)


def _is_list(annotation: Any) -> bool:
    return get_origin(annotation) in (list, tuple) or any(_is_list(part) for part in get_args(annotation))
