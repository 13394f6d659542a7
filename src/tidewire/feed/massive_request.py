"""What Tidewire says to Massive: authenticate, subscribe, unsubscribe. Pure; it must not know when or over what.

Source: feed-protocol.md 1.2 (one text frame per request, topics joined by commas).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Literal

import msgspec

# The vendor's limits are unknown: 500 topics and 16 KiB stay far below its 1 MB message limit, and a lost or refused
# request concerns few topics.
MAX_TOPICS: Final = 500
MAX_REQUEST_BYTES: Final = 16 * 1024


def encode_auth(api_key: str) -> bytes:
    """Return the authentication request. Its bytes are secret."""
    return msgspec.json.encode({"action": "auth", "params": api_key})


def encode_requests(
    action: Literal["subscribe", "unsubscribe"],
    topics: Iterable[str],
    *,
    max_topics: int = MAX_TOPICS,
    max_bytes: int = MAX_REQUEST_BYTES,
) -> Iterator[bytes]:
    """Yield requests that together name each topic once, in order.

    Args:
        action: What to do with the topics.
        topics: Such as ``T.AAPL``.
        max_topics: Most topics in one request.
        max_bytes: Largest size of the joined topics of one request; a single longer topic still gets its own request.
    """
    batch: list[str] = []
    size = 0
    for topic in topics:
        if batch and (len(batch) >= max_topics or size + len(topic) + 1 > max_bytes):
            yield _encode(action, batch)
            batch, size = [], 0
        batch.append(topic)
        size += len(topic) + 1
    if batch:
        yield _encode(action, batch)


def _encode(action: str, topics: list[str]) -> bytes:
    return msgspec.json.encode({"action": action, "params": ",".join(topics)})
