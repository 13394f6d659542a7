"""Where a browser may be sent: only to a path of our own. It must not know what is there.

Browsers drop tabs and newlines from a URL and read a backslash as a slash, so ``/\\t/evil.example`` and
``/\\evil.example`` leave the site (WHATWG URL standard, "basic URL parser").
"""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse

LOGIN = "/login"
PASSWORD = "/password"  # noqa: S105 - a path
PATH_MAX = 2_048
# One slash, then anything but a second slash; no backslash, space, control or non-ASCII character anywhere.
_LOCAL = re.compile(r"/(?!/)[!-\[\]-~]*")
_OWN_FORMS = ("/login", "/logout", "/password")


def local_path(text: str | None) -> str | None:
    """Return ``text`` if it is a path on this site that may follow a login, else None."""
    if text is None or len(text) > PATH_MAX or not _LOCAL.fullmatch(text):
        return None
    try:
        parts = urlsplit(text)
    except ValueError:
        return None
    # After a login, the forms of the login itself lead nowhere.
    if parts.scheme or parts.netloc or parts.path.rstrip("/") in _OWN_FORMS:
        return None
    return text


def login_redirect(request: HTTPConnection, page: str = LOGIN) -> RedirectResponse:
    """Return the way to the login page (or ``page``), which leads back to ``request`` if it can be asked for again."""
    target = page
    if request.scope["method"] in ("GET", "HEAD"):
        path, query = quote(request.scope["path"]), request.scope["query_string"].decode("latin-1")
        back = local_path(f"{path}?{query}" if query else path)
        if back is not None and back != "/":
            target = f"{page}?next={quote(back, safe='/')}"
    return RedirectResponse(target, status_code=303, headers={"Cache-Control": "no-store"})
