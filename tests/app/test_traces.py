"""Traces against the whole process and a collector that speaks OTLP: whose spans they are, and what they never hold."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.support.platform import Served, served, settings_for
from tests.support.span_sink import SpanSink, attributes, span_sink
from tests.support.waiting import until
from tidewire.app.platform import Platform
from tidewire.core import tracing
from tidewire.core.errors import SettingsError

NEW = {"customer_name": "Ada Lovelace", "state": "CA", "product": "personal_auto"}
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
async def traced(tmp_path: Path) -> AsyncIterator[tuple[Served, SpanSink]]:
    """A process that sends its spans."""
    with span_sink() as sink:
        async with served(tmp_path, otel_endpoint=sink.url) as site:
            yield site, sink
        assert not tracing.collecting()


async def test_a_request_is_a_part_of_its_callers_trace(traced: tuple[Served, SpanSink]) -> None:
    """A quote's change over HTTP: named by route, inside it the change and the transaction; no value and no name."""
    site, sink = traced
    async with site.http("ada") as http:
        made = await http.post("/api/v1/quotes", json={"fields": NEW})
        assert made.status_code == 201, made.text
        quote_id = made.json()["quote_id"]
        answer = await http.patch(
            f"/api/v1/quotes/{quote_id}",
            json={"fields": {"customer_name": "Ada King"}},
            headers={"If-Match": made.headers["etag"], "traceparent": f"00-{TRACE}-{PARENT}-01"},
        )
        assert answer.status_code == 200, answer.text
    route = "PATCH /api/v1/quotes/{quote_id}"
    await until(lambda: sink.named(route))
    [request] = sink.named(route)
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE, PARENT)
    assert attributes(request) == {
        "http.request.method": "PATCH",
        "http.route": "/api/v1/quotes/{quote_id}",
        "http.response.status_code": 200,
        "tidewire.request_id": answer.headers["x-request-id"],
    }
    await until(lambda: "quote.change" in sink.inside(request))
    [change] = [span for span in sink.named("quote.change") if span.trace_id == request.trace_id]
    assert attributes(change) == {"tidewire.quote_id": quote_id}
    assert change.start_time_unix_nano >= request.start_time_unix_nano
    assert change.end_time_unix_nano <= request.end_time_unix_nano
    assert sink.instances == {f"tidewire/{site.web.hub_side.nodes.name}"}
    told = b"".join(span.SerializeToString() for span in sink.spans)
    for secret in (b"Lovelace", b"King", b"ada", site.cookies["ada"].encode()):
        assert secret not in told


async def test_a_collector_that_is_away_costs_spans_and_no_request(traced: tuple[Served, SpanSink]) -> None:
    """Its failure and return are logged once each, and every span that was lost is counted."""
    site, sink = traced
    sink.refuse = True
    with capture_logs() as logged:
        async with site.http("ada") as http:
            assert (await http.get("/api/v1/quotes")).status_code == 200
            await until(lambda: tracing.counters()["failed"] > 0)
            # Some have gone out before it was away.
            exported, sink.refuse = tracing.counters()["exported"], False
            assert (await http.get("/api/v1/quotes")).status_code == 200
            await until(lambda: tracing.counters()["exported"] > exported)
            metrics = (await http.get("/metrics")).text
    assert [entry["event"] for entry in logged if entry["event"].startswith("traces")] == [
        "traces_failed",
        "traces_back",
    ]
    assert "tidewire_traces_failed_total" in metrics
    counts = tracing.counters()
    assert counts["begun"] >= counts["exported"] + counts["failed"]


async def test_without_the_extra_the_start_ends_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Traces that were asked for are not left out quietly."""
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(SettingsError) as caught:
        Platform(settings_for(tmp_path, otel_endpoint="http://127.0.0.1:4318"), with_feed=False)
    assert "tidewire[otel]" in caught.value.required_action


def test_spans_cost_nothing_while_nobody_collects() -> None:
    """The same object every time: nothing is made, nothing kept."""
    assert not tracing.collecting()
    first, second = tracing.span("a", {}), tracing.span("b", {})
    assert first is second
    with first as span:
        span.note({"http.route": "/"})
    assert tracing.counters() == {}
