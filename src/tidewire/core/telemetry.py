"""Logging for every process: JSON outside a terminal, pretty inside one, and no secret in either.

Two nets catch secrets: values of keys that sound secret are masked, and known secret values are cut out of every string
(tracebacks included). It must not know what is logged.
Source: reliability.md 3.1 item 16; structlog manual, "Standard Library Logging".
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable, MutableMapping
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

MASK = "<hidden>"
_SECRET_NAME = re.compile(r"passw|secret|token|api_?key|authorization|cookie|credential", re.IGNORECASE)
# Names that sound secret and are not: token buckets and public ids.
_HARMLESS_NAMES = frozenset({"token_count", "csrf_ok"})
# Shorter values would cut innocent words out of messages.
_MIN_SECRET_CHARS = 6


class Redactor:
    """A structlog processor that hides secrets.

    Args:
        secrets: Values that must never appear, e.g. API keys and passwords.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        # Longest first, so that a secret that contains another is cut whole.
        self._secrets = sorted({s for s in secrets if len(s) >= _MIN_SECRET_CHARS}, key=len, reverse=True)

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        """Return the event with secrets masked, at any depth."""
        return {key: self._value(key, value) for key, value in event.items()}

    def clean(self, text: str) -> str:
        """Return ``text`` without known secret values."""
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return text

    def _value(self, key: str, value: Any) -> Any:
        if key not in _HARMLESS_NAMES and _SECRET_NAME.search(key):
            return MASK if value else value
        if isinstance(value, str):
            return self.clean(value)
        if isinstance(value, MutableMapping):
            return {k: self._value(str(k), v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [self._value("", item) for item in value]
        if isinstance(value, BaseException):
            return self.clean(repr(value))
        return value


def configure_logging(
    *,
    level: str = "info",
    style: Literal["auto", "json", "console"] = "auto",
    secrets: Iterable[str] = (),
    stream: TextIO | None = None,
) -> Redactor:
    """Send structlog and the standard library's logging through one pipeline to ``stream`` (stderr).

    Returns:
        The redactor, for texts that leave by another way than the log.
    """
    out = stream or sys.stderr
    pretty = style == "console" or (style == "auto" and out.isatty())
    redactor = Redactor(secrets)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    # The traceback becomes text before the redactor runs, so that secrets in it are cut out too.
    final: list[Processor] = [structlog.processors.format_exc_info, redactor]
    renderer: Processor = structlog.dev.ConsoleRenderer(colors=out.isatty()) if pretty else _json_renderer()
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *final, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    _quiet_libraries()
    return redactor


def _json_renderer() -> Processor:
    return structlog.processors.JSONRenderer(sort_keys=False)


def _quiet_libraries() -> None:
    """Let chatty libraries speak only from warnings on; their info lines carry full URLs with query strings."""
    for name in (
        "uvicorn",
        "uvicorn.error",
        "uvicorn.access",
        "engineio",
        "socketio",
        "alembic",
        "websockets",
        "aiosqlite",
        "asyncio",
        "picows",
    ):
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        library = logging.getLogger(name)
        library.handlers[:] = []
        library.propagate = True
