"""A collector of OpenTelemetry on loopback (OTLP, http/protobuf): the spans and metrics that came.

with collecting() as collector:
    run(env=collector.env)
    collector.spans, collector.metrics, collector.raw
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from fakes.telemetry import posted


@dataclass(frozen=True)
class Span:
    name: str
    trace: str
    identity: str
    parent: str
    kind: int
    is_error: bool
    attributes: dict[str, Any]


@dataclass
class Collector:
    port: int = 0
    spans: list[Span] = field(default_factory=list)
    metrics: set[str] = field(default_factory=set)
    raw: bytes = b""
    """All that came, unpacked."""

    @property
    def env(self) -> dict[str, str]:
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.port}"}

    def take(self, path: str, body: bytes) -> None:
        self.raw += body
        if path == "/v1/metrics":
            metrics = ExportMetricsServiceRequest.FromString(body)
            for resource in metrics.resource_metrics:
                for scope in resource.scope_metrics:
                    self.metrics |= {metric.name for metric in scope.metrics}
            return
        for spans in ExportTraceServiceRequest.FromString(body).resource_spans:
            for part in spans.scope_spans:
                for one in part.spans:
                    given = {item.key: _value(item.value) for item in one.attributes}
                    parts = (one.trace_id, one.span_id, one.parent_span_id)
                    trace, identity, parent = (part.hex() for part in parts)
                    is_error = one.status.code == 2
                    self.spans.append(Span(one.name, trace, identity, parent, one.kind, is_error, given))


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    return (
        [_value(one) for one in value.array_value.values] if kind == "array_value" else getattr(value, kind)
    )


@contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector()
    with posted(collector.take) as collector.port:
        yield collector
