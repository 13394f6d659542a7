"""The guards of the door, as pure ASGI: host names, origins, body size, media types, security headers.

They see http and websocket scopes, so that Socket.IO passes them too. They must not know routes or users, decide only
by ``scope["path"]`` (never by a URL built from the Host header), and never look at X-Forwarded-*.
Source: OWASP ASVS 5.0 sections 3.4, 3.5, 4.4; RFC 6455 section 10.2; Fetch Metadata.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tidewire.core.errors import Forbidden, InvalidRequest, RequestError, TooLarge, WrongMediaType
from tidewire.web.origin import host_name, host_names, origin_allowed, own_origins, parse_origins, websocket_sources
from tidewire.web.problem import ErrorAnswers
from tidewire.web.session import has_cookies

_READS = frozenset({"GET", "HEAD", "OPTIONS"})
# What a foreign page can send without the browser asking us first (Fetch standard, CORS-safelisted request-header).
_FORM_TYPES = frozenset({"application/x-www-form-urlencoded", "multipart/form-data", "text/plain", ""})
# Asked by address, by machines that know no name.
OPEN_PATHS = ("/livez", "/readyz", "/healthz")


@dataclass(frozen=True, slots=True)
class HttpSecurity:
    """The rules of the door.

    Attributes:
        origins: Where our pages come from, as browsers write it.
        hosts: Names we answer to, without port.
        secure: The public address is TLS: cookies are Secure, and browsers are told to stay with TLS (HSTS).
        body_max_bytes: Largest request body.
        body_limits: Path prefix -> largest body, for routes that take more.
        open_paths: Paths that answer to any host name.
    """

    origins: frozenset[str]
    hosts: frozenset[str]
    secure: bool = False
    body_max_bytes: int = 65_536
    body_limits: Mapping[str, int] = field(default_factory=dict)
    open_paths: Collection[str] = OPEN_PATHS

    @classmethod
    def build(cls, *, host: str, port: int, tls: bool = False, allowed_origins: Iterable[str] = ()) -> HttpSecurity:
        """Return the rules for a server on ``host`` and ``port``.

        Args:
            tls: The server itself speaks TLS.
            allowed_origins: TIDEWIRE_ALLOWED_ORIGINS. If given they are the only ones, and TLS is assumed if all are
                https (a proxy in front ends it); otherwise our own address is the only origin.

        Raises:
            SettingsError: One of ``allowed_origins`` is no origin.
        """
        given = parse_origins(allowed_origins)
        origins = given or own_origins(host, port, tls=tls)
        return cls(
            origins=origins,
            hosts=host_names(origins),
            secure=tls or all(origin.startswith("https:") for origin in origins),
        )

    def origin_allowed(self, origin: str | None) -> bool:
        """Whether this Origin header is one of ours; for Socket.IO's ``cors_allowed_origins`` callable."""
        return origin_allowed(origin, self.origins)

    def body_limit(self, path: str) -> int:
        """Return the largest body for ``path``: that of its longest prefix, else the general one."""
        prefixes = [prefix for prefix in self.body_limits if path.startswith(prefix)]
        return self.body_limits[max(prefixes, key=len)] if prefixes else self.body_max_bytes


class HostGuard:
    """Refuses requests that are meant for another name (DNS rebinding, poisoned links)."""

    def __init__(self, app: ASGIApp, rules: HttpSecurity, answers: ErrorAnswers) -> None:
        self.app = app
        self._rules = rules
        self._answers = answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the request."""
        if scope["type"] in ("http", "websocket") and scope["path"] not in self._rules.open_paths:
            hosts = Headers(scope=scope).getlist("host")
            if len(hosts) != 1 or host_name(hosts[0]) not in self._rules.hosts:
                error = InvalidRequest(
                    "The request is addressed to a host name that is not ours.",
                    required_action="Use the address from TIDEWIRE_ALLOWED_ORIGINS, or add this one there.",
                    will_not="Tidewire will not answer to unknown names.",
                    code="host_refused",
                )
                await refuse(self._answers, error, scope, receive, send)
                return
        await self.app(scope, receive, send)


class OriginGuard:
    """Refuses writes and WebSockets that another site's page started.

    A request without Origin passes only if it carries no cookie (then it can act as nobody), or if the browser says by
    Sec-Fetch-Site that our own page sent it.
    """

    def __init__(self, app: ASGIApp, rules: HttpSecurity, answers: ErrorAnswers) -> None:
        self.app = app
        self._rules = rules
        self._answers = answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the request."""
        guarded = scope["type"] == "websocket" or (scope["type"] == "http" and scope["method"] not in _READS)
        error = self._judge(scope) if guarded else None
        if error is not None:
            await refuse(self._answers, error, scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _judge(self, scope: Scope) -> RequestError | None:
        headers = Headers(scope=scope)
        origins = headers.getlist("origin")
        if origins:
            if len(origins) == 1 and self._rules.origin_allowed(origins[0]):
                return _wrong_type(scope, headers)
        elif not has_cookies(scope) or headers.get("sec-fetch-site") == "same-origin":
            return _wrong_type(scope, headers)
        return Forbidden(
            "The request comes from a page of another site, or does not say where it comes from.",
            required_action="Use Tidewire's own pages, or add their address to TIDEWIRE_ALLOWED_ORIGINS.",
            will_not="Tidewire will not act for a user on another site's behalf.",
            code="origin_refused",
        )


class BodyLimit:
    """Refuses bodies above the limit, by the announced length or as soon as too much has come."""

    def __init__(self, app: ASGIApp, rules: HttpSecurity, answers: ErrorAnswers) -> None:
        self.app = app
        self._rules = rules
        self._answers = answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = self._rules.body_limit(scope["path"])
        announced = Headers(scope=scope).get("content-length", "0")
        if not announced.isascii() or not announced.isdigit() or int(announced) > limit:
            await refuse(self._answers, _too_large(limit), scope, receive, send)
            return
        await self._run_counted(limit, scope, receive, send)

    async def _run_counted(self, limit: int, scope: Scope, receive: Receive, send: Send) -> None:
        read, over, started = 0, False, False

        async def receive_counted() -> Message:
            nonlocal read, over
            message = await receive()
            read += len(message.get("body", b""))
            if read > limit:
                over = True
                raise _too_large(limit)
            return message

        async def send_unless_over(message: Message) -> None:
            nonlocal started
            # FastAPI turns any error while it reads a body into its own 400; ours replaces it.
            if over and not started:
                return
            started = True
            await send(message)

        try:
            await self.app(scope, receive_counted, send_unless_over)
        except TooLarge:
            if started:
                raise
        if over and not started:
            await refuse(self._answers, _too_large(limit), scope, receive, send)


class SecurityHeaders:
    """Adds the security headers to every answer; one that sets a header itself keeps its own."""

    def __init__(self, app: ASGIApp, rules: HttpSecurity) -> None:
        self.app = app
        self._headers = security_headers(rules)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                message.setdefault("headers", [])
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                if not scope["path"].startswith("/static/"):
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self.app(scope, receive, send_with_headers)


def security_headers(rules: HttpSecurity) -> dict[str, str]:
    """Return the headers that every answer carries. No foreign host, no inline script, no frame."""
    connect = " ".join(["'self'", *websocket_sources(rules.origins)])
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "font-src": "'self'",
        "connect-src": connect,
        "manifest-src": "'self'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
        "object-src": "'none'",
    }
    headers = {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        # Not no-referrer: with that, browsers send Origin: null with our own forms (Fetch standard, "append a request
        # `Origin` header").
        "Referrer-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    if rules.secure:
        headers["Strict-Transport-Security"] = "max-age=31536000"
    return headers


def _wrong_type(scope: Scope, headers: Headers) -> RequestError | None:
    """Return the error for an API write in a format that a foreign form could send, else None."""
    if scope["type"] != "http" or not scope["path"].startswith("/api/"):
        return None
    has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if not has_body or media_type not in _FORM_TYPES:
        return None
    return WrongMediaType(
        f"The API does not read {media_type or 'a body without Content-Type'}.",
        required_action="Send JSON with Content-Type: application/json.",
        will_not="Tidewire will not act on a body that a foreign form could have sent.",
    )


def _too_large(limit: int) -> TooLarge:
    return TooLarge(
        f"The request body is larger than {limit} bytes.",
        required_action="Send less at a time.",
        will_not="Tidewire will not read the rest.",
        details={"limit": limit},
    )


async def refuse(answers: ErrorAnswers, error: RequestError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with ``error``; a WebSocket is refused before the upgrade."""
    if scope["type"] == "http":
        response = answers.answer(Request(scope), error)
        # What is left of the body is not read, so the connection cannot be used for another request.
        response.headers["Connection"] = "close"
        await response(scope, receive, send)
    elif "websocket.http.response" in scope.get("extensions", {}):
        await answers.document(HTTPConnection(scope), error)(scope, receive, send)
    else:
        # Servers answer a close before the accept with 403 (ASGI specification, "Close - send event").
        await send({"type": "websocket.close", "code": 1008, "reason": error.code})
