"""A page that follows one quote exactly as docs/quotes.md tells it to, and writes down what it was sent. Pure.

What a page ends with must be the quote, whatever came in between.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class QuotePage:
    """One tab, across reconnects.

    Attributes:
        ready: A state has come since the page last knew that it has none.
        place: Of the last message of the room, for ``since``.
        wants: What must be sent next: nothing, or ``quote_subscribe``.
        asked: The state is on its way.
        applied: Versions applied from updates, in order.
        tape: What happened to the page: ``["ask"]``, ``["lost"]`` or ``["receive", message]``.
    """

    quote_id: str
    version: int = 0
    status: str = ""
    premium: Any = None
    fields: dict[str, dict[str, Any]] = field(default_factory=dict)
    ready: bool = False
    place: dict[str, Any] | None = None
    wants: str = ""
    asked: bool = False
    applied: list[int] = field(default_factory=list)
    tape: list[list[Any]] = field(default_factory=list)
    _held: dict[int, dict[str, Any]] = field(default_factory=dict)

    def ask(self) -> None:
        """The client sends ``quote_subscribe``."""
        self.tape.append(["ask"])
        self.wants, self.asked = "", True

    def lost(self) -> None:
        """The connection is gone; what the page shows stays."""
        self.tape.append(["lost"])
        self.asked = False

    def receive(self, message: dict[str, Any]) -> None:
        """Take one message of the connection."""
        kind = message["type"]
        if message.get("room_id") != f"quote:{self.quote_id}":
            return
        self.tape.append(["receive", message])
        if kind == "subscribed":
            if not message["recovered"]:
                self.ready = False
                self.wants = "" if self.asked else "quote_subscribe"
                self.place = {"epoch": message["epoch"], "offset": message["offset"]}
        elif kind in ("gap", "unsubscribed"):
            self.ready, self.asked, self.wants = False, False, "quote_subscribe"
        elif kind == "quote_state":
            self._load(message)
        elif kind in ("field_update", "quote_update"):
            self.place = {"epoch": message["epoch"], "offset": message["offset"]}
            self._held[message["version"]] = message
            self._drain()

    @property
    def waiting(self) -> list[int]:
        """Versions that have come and cannot be applied yet."""
        return sorted(self._held)

    def _load(self, state: dict[str, Any]) -> None:
        assert state["version"] >= self.version, "a state older than an update before it"
        self.version, self.fields = state["version"], dict(state["fields"])
        self.status, self.premium = state["quote"]["status"], state["quote"].get("premium", "absent")
        self.ready, self.asked, self.wants = True, False, ""
        self._drain()

    def _drain(self) -> None:
        if not self.ready:
            return
        for version in [version for version in self._held if version <= self.version]:
            del self._held[version]
        while (update := self._held.pop(self.version + 1, None)) is not None:
            self.version += 1
            self.applied.append(self.version)
            self._apply(update)

    def _apply(self, update: dict[str, Any]) -> None:
        if update["type"] == "field_update":
            known = self.fields[update["field"]]
            assert update["revision"] == known["revision"] + 1
            self.fields[update["field"]] = {
                "value": update["value"],
                "revision": update["revision"],
                "by": update["updated_by"],
                "at": update["updated_at"],
            }
        elif update["update_type"] == "status":
            self.status = update["data"]["status"]
        elif "premium" in update["data"]:
            self.premium = update["data"]["premium"]
        else:
            assert update["data"] == {"withheld": True}
