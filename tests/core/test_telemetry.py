"""No secret leaves by the log, whatever way it came in."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from tidewire.core.telemetry import MASK, configure_logging

SECRET = "canary-5f2e9d71"


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """A configured JSON log; the previous configuration comes back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logging(level="debug", style="json", secrets=[SECRET], stream=stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_known_secret_values_are_cut_out_everywhere(log: io.StringIO) -> None:
    """Event text, nested values, exceptions, tracebacks and foreign loggers are all cleaned."""
    logger = structlog.get_logger("t")
    logger.info(f"connecting with {SECRET}", nested={"deep": [f"x{SECRET}y"]}, error=ValueError(SECRET))
    logging.getLogger("foreign").warning("url=%s", f"wss://h/?k={SECRET}")
    try:
        raise RuntimeError(SECRET)
    except RuntimeError:
        logger.exception("failed")
    text = log.getvalue()
    assert SECRET not in text
    assert text.count(MASK) >= 5


def test_values_of_secret_sounding_keys_are_masked(log: io.StringIO) -> None:
    """A password that nobody registered is masked by its key."""
    structlog.get_logger("t").info(
        "login", password="pw-unregistered", headers={"Cookie": "sid=1", "authorization": "Bearer x"}, user="ann"
    )
    record = json.loads(log.getvalue())
    assert record["password"] == MASK
    assert record["headers"] == {"Cookie": MASK, "authorization": MASK}
    assert record["user"] == "ann"


def test_outside_a_terminal_each_line_is_one_json_object(log: io.StringIO) -> None:
    """Log collectors parse every line, foreign ones included."""
    structlog.get_logger("t").info("one", n=1)
    logging.getLogger("foreign").error("two\nlines")
    records = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [r["event"] for r in records] == ["one", "two\nlines"]
    assert {r["level"] for r in records} == {"info", "error"}
    assert all("timestamp" in r and "logger" in r for r in records)
