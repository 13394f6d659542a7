"""The dashboard that everybody has: what one looks at first. It cannot be changed, only copied. Pure."""

from __future__ import annotations

from tidewire.monitoring.dashboard_model import Draft, Figure, Widget

OVERVIEW_ID = "overview"


def _chart(name: str, title: str, x: int, y: int, *figures: Figure) -> Widget:
    return Widget(id=name, kind="chart", title=title, figures=list(figures), x=x, y=y, w=6, h=3, range_s=900)


def _figure(name: str, title: str, x: int, figure: Figure) -> Widget:
    return Widget(id=name, kind="figure", title=title, figures=[figure], x=x, y=0, w=3, h=2)


OVERVIEW = Draft(
    name="Overview",
    shared=True,
    widgets=[
        _figure("connections", "Client connections", 0, Figure("tidewire_hub_connections")),
        _figure("rooms", "Rooms, each once", 3, Figure("tidewire_cluster_rooms", total="max")),
        _figure("delivered", "Messages to clients", 6, Figure("tidewire_hub_delivered_total", shown="per_second")),
        _figure("held", "Held back for slow readers", 9, Figure("tidewire_hub_outbox_bytes")),
        _chart("connections-chart", "Client connections", 0, 2, Figure("tidewire_hub_connections")),
        _chart(
            "messages",
            "Messages published and delivered",
            6,
            2,
            Figure("tidewire_hub_delivered_total", shown="per_second"),
            Figure("tidewire_hub_published_total", shown="per_second"),
        ),
        _chart(
            "answers",
            "HTTP answers, and those with a fault of ours",
            0,
            5,
            Figure("tidewire_http_responses_total", shown="per_second"),
            Figure("tidewire_http_faults_total", shown="per_second"),
        ),
        _chart("memory", "Memory", 6, 5, Figure("process_resident_memory_bytes")),
        Widget(
            id="state",
            kind="table",
            title="Worst node",
            figures=[
                Figure("tidewire_bus_up", total="min"),
                Figure("tidewire_database_up", total="min"),
                Figure("tidewire_feed_known", total="min"),
                Figure("tidewire_event_loop_longest_stall_seconds", total="max"),
                Figure("process_open_fds", total="max"),
            ],
            x=0,
            y=8,
            w=12,
            h=3,
            range_s=900,
        ),
    ],
)
