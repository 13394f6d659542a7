"""A collector of spans: takes OTLP over HTTP as OpenTelemetry's messages, in a thread; can be told to refuse."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass
class SpanSink:
    """What came."""

    port: int = 0
    refuse: bool = False
    spans: list[Span] = field(default_factory=list)
    instances: set[str] = field(default_factory=set)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def named(self, name: str) -> list[Span]:
        """Return the spans of that name."""
        return [span for span in list(self.spans) if span.name == name]

    def inside(self, outer: Span) -> set[str]:
        """Return the names of the spans directly in another one."""
        return {span.name for span in list(self.spans) if span.parent_span_id == outer.span_id}


def attributes(span: Span) -> dict[str, str | int]:
    """Return a span's attributes."""
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}


@contextmanager
def span_sink() -> Iterator[SpanSink]:
    """Listen until the block ends."""
    sink = SpanSink()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if sink.refuse or self.path != "/v1/traces":
                self.send_error(403)
                return
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                known = {each.key: each.value.string_value for each in resource.resource.attributes}
                sink.instances.add(f"{known['service.name']}/{known['service.instance.id']}")
                sink.spans += [span for scope in resource.scope_spans for span in scope.spans]
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        sink.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield sink
        finally:
            server.shutdown()
            thread.join()
