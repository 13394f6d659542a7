"""Sends spans to an OpenTelemetry collector (OTLP over HTTP), from a thread of its own, and counts what became of them.

A collector that is away costs spans, never requests: they are counted, and the first failure and the return are logged.
Needs the extra ``tidewire[otel]``. It must not know what is traced.
Source: OpenTelemetry specification, "Batching processor", "OTLP/HTTP".
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

import structlog

from tidewire import __version__
from tidewire.core import tracing
from tidewire.core.errors import SettingsError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Span as OtelSpan

log = structlog.get_logger("tidewire.tracing")

# A stopped process waits no longer than this for its last spans.
STOP_MS = 3_000
EVERY_MS = 1_000
QUEUE = 4_096
TIMEOUT_S = 5.0


class SpanExport:
    """See the module's text.

    Args:
        endpoint: ``http://host:4318``; spans go to ``/v1/traces`` there.
        node: This process, as operators call it.

    Raises:
        SettingsError: The extra is not installed.
    """

    def __init__(self, endpoint: str, node: str) -> None:
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError as exc:
            raise SettingsError(
                f"TIDEWIRE_OTEL_ENDPOINT is set, but OpenTelemetry is not installed ({exc.name}).",
                required_action="Install tidewire[otel], or unset TIDEWIRE_OTEL_ENDPOINT.",
                will_not="Tidewire will not start without the traces it was told to send.",
            ) from exc
        # It would repeat itself for every batch; ours says it once, and the counters say how many.
        logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)
        resource = Resource.create(
            {"service.name": "tidewire", "service.version": __version__, "service.instance.id": node}
        )
        self._provider = TracerProvider(resource=resource)
        self._counts = _Counts()
        exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=TIMEOUT_S)
        counted: Any = _counted(exporter, self._counts)
        self._provider.add_span_processor(
            BatchSpanProcessor(counted, max_queue_size=QUEUE, schedule_delay_millis=EVERY_MS)
        )
        self._tracer = self._provider.get_tracer("tidewire", __version__)

    def start(self) -> None:
        """Take spans from now on."""
        tracing.collect(self)

    def stop(self) -> None:
        """Send the last ones and end. Idempotent."""
        tracing.collect(None)
        self._provider.force_flush(STOP_MS)
        self._provider.shutdown()

    def counters(self) -> dict[str, float]:
        """Return what became of spans, for metrics: begun and not yet exported or failed ones wait, or had no room."""
        with self._counts.lock:
            return {"begun": self._counts.begun, "exported": self._counts.exported, "failed": self._counts.failed}

    def span(
        self, name: str, attributes: Mapping[str, tracing.Value], *, carrier: Mapping[str, str] | None
    ) -> AbstractContextManager[tracing.Span]:
        """Begin a span."""
        return self._span(name, attributes, carrier)

    @contextmanager
    def _span(
        self, name: str, attributes: Mapping[str, tracing.Value], carrier: Mapping[str, str] | None
    ) -> Iterator[tracing.Span]:
        from opentelemetry.propagate import extract
        from opentelemetry.trace import SpanKind

        with self._counts.lock:
            self._counts.begun += 1
        kind = SpanKind.INTERNAL if carrier is None else SpanKind.SERVER
        context = None if carrier is None else extract(carrier)
        with self._tracer.start_as_current_span(name, context=context, kind=kind, attributes=dict(attributes)) as begun:
            yield _Noted(begun)


class _Counts:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.begun = 0
        self.exported = 0
        self.failed = 0


class _Noted:
    """A span under way."""

    __slots__ = ("_span",)

    def __init__(self, span: OtelSpan) -> None:
        self._span = span

    def note(self, attributes: Mapping[str, tracing.Value], *, name: str = "") -> None:
        """Say more about it; ``name``: what it is called from now on."""
        if name:
            self._span.update_name(name)
        self._span.set_attributes(dict(attributes))


def _counted(exporter: Any, counts: _Counts) -> Any:
    """Return an exporter that counts what ``exporter`` did, and logs when it begins and ceases to fail."""
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

    class Counted(SpanExporter):
        failing = False

        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            result: SpanExportResult = exporter.export(spans)
            failed = result is not SpanExportResult.SUCCESS
            if failed and not self.failing:
                log.warning(
                    "traces_failed",
                    spans=len(spans),
                    required_action="Check the collector at TIDEWIRE_OTEL_ENDPOINT.",
                    will_not="Requests are answered all the same; the spans are not sent again.",
                )
            elif self.failing and not failed:
                log.info("traces_back", spans=len(spans))
            self.failing = failed
            with counts.lock:
                if failed:
                    counts.failed += len(spans)
                else:
                    counts.exported += len(spans)
            return result

        def shutdown(self) -> None:
            exporter.shutdown()

    return Counted()
