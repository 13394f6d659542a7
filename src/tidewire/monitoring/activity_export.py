"""The activity log as a file, up to the newest row of the moment. It must not know HTTP or who asks.

Source: dashboard.md M11.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence

import msgspec

from tidewire.monitoring.activity_wire import ActivityRow, row_of
from tidewire.monitoring.file_export import FileExport, Form, Sheet, harmless, written
from tidewire.store.activity import READ_MAX, ActivityFilter, ActivityLog, Place

COLUMNS = ("id", "at", "actor", "actor_id", "action", "target", "ip", "details")
ACTION = "activity.export"


class Export(FileExport[ActivityRow]):
    """One export.

    Args:
        newest_id: Rows with higher numbers are left out, so that it comes to an end.
        masked: Addresses lose their last part.
    """

    def __init__(
        self,
        activity: ActivityLog,
        wanted: ActivityFilter,
        newest_id: int,
        form: Form,
        *,
        masked: bool,
        now: Callable[[], float],
    ) -> None:
        async def parts() -> AsyncGenerator[Sequence[ActivityRow], None]:
            after: Place | None = None
            while True:
                page = await activity.page(wanted, limit=READ_MAX, after=after, newest_id=newest_id)
                yield [row_of(row, masked=masked) for row in page.rows]
                after = page.after
                if after is None:
                    return

        lost = "You may not see the activity log any more."
        super().__init__(Sheet(COLUMNS, _cells, parts, lost, ACTION), form, now=now)


def _cells(row: ActivityRow) -> tuple[str, ...]:
    words = (row.actor, str(row.actor_id or ""), row.action, row.target, row.ip)
    details = msgspec.json.encode(row.details).decode() if row.details else ""
    return (str(row.id), written(row.at), *map(harmless, words), harmless(details))
