"""What service and workers report about themselves: figures for Prometheus, spans and metrics over OTLP.

Theory of operation. Each tool call, and each shard of a worker, works with a backend that is wrapped
(`Observed`): every question to a model is counted there, and is a span below the one that the SDK opens for
the message, or `batch` for the shard. The engine knows none of it. The API of OpenTelemetry does nothing
until `exporting` finds OTEL_* set and puts the SDK behind it.

Rules:
1. No user, path, question or answer is a label or an attribute. Contents are in spans only where the
   operator sets CAPTURE, and secrets are taken out.
2. What a caller can choose freely (the name of a model) is a label only up to MAX_SERIES.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import metrics, trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from fanout_mcp.backends.providers import barred_host
from fanout_mcp.engine.limits import Limits
from fanout_mcp.errors import BackendError, SettingsError
from fanout_mcp.scale.shared import shown
from fanout_mcp.source.secrets import redact
from fanout_mcp.types import Answer, Backend, Job, Json

if TYPE_CHECKING:
    from fanout_mcp.scale.shared import Shared
    from fanout_mcp.state.audit import Call

if TYPE_CHECKING:
    import requests

# --- figures -----------------------------------------------------------------------------------------------

FIGURES: Final[Mapping[str, tuple[str, str]]] = {
    "fanout_calls_total": ("counter", "Calls of a tool, by what came of them"),
    "fanout_call_seconds": ("histogram", "What a call of a tool took"),
    "fanout_cost_usd_total": ("counter", "Dollars by tool, by the provider's bill or its price"),
    "fanout_tokens_total": ("counter", "Tokens in and out"),
    "fanout_cached_total": ("counter", "Questions that were answered before"),
    "fanout_refused_total": ("counter", "Requests that were not let in, by HTTP status"),
    "fanout_inflight": ("gauge", "Calls of tools at work"),
    "fanout_model_calls_total": ("counter", "Questions to models; outcome: answered, cut, or the error"),
    "fanout_model_call_seconds": ("histogram", "What a model took to answer"),
    "fanout_retries_total": ("counter", "Questions asked again, by why"),
    "fanout_model_inflight": ("gauge", "Questions with a provider"),
    "fanout_model_waiting": ("gauge", "Questions that wait for a place at a provider"),
    "fanout_redis_up": ("gauge", "Whether the shared Redis answers"),
    "fanout_redis_outages_total": ("counter", "How often the shared Redis went away"),
    "fanout_replicas": ("gauge", "Processes that share the Redis, seen in the last minute"),
    "fanout_limiter_wait_seconds_total": ("counter", "What questions waited for a provider's rate"),
    "fanout_model_limit": ("gauge", "Questions that a provider is sent at once, at most, as it stands"),
}
"""Name -> type and meaning, as /metrics gives them."""
BUCKETS: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
MAX_SERIES: Final = 2_000
OTHER: Final = "other"

Labels = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Figures:
    """What was counted since the start."""

    values: defaultdict[tuple[str, Labels], float] = field(default_factory=lambda: defaultdict(float))

    def add(self, name: str, value: float = 1.0, **labels: str) -> None:
        key = (name, tuple(labels.items()))
        if "model" in labels and key not in self.values and len(self.values) >= MAX_SERIES:
            key = (name, tuple({**labels, "model": OTHER}.items()))
        self.values[key] += value

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        for bound in (*BUCKETS, float("inf")):
            self.add(
                f"{name}_bucket", float(seconds <= bound), **labels, le=f"{bound:g}".replace("inf", "+Inf")
            )
        self.add(f"{name}_sum", seconds, **labels)
        self.add(f"{name}_count", 1, **labels)

    def text(self, gauges: Iterable[tuple[str, Labels, float]]) -> str:
        """Return all of it in Prometheus' text form."""
        rows: defaultdict[str, list[str]] = defaultdict(list)
        for name, labels, value in [*((*key, value) for key, value in self.values.items()), *gauges]:
            family = next((one for one in (name, name.rpartition("_")[0]) if one in FIGURES), name)
            inside = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels)
            rows[family].append(f"{name}{{{inside}}} {value:.10g}" if inside else f"{name} {value:.10g}")
        lines: list[str] = []
        for name, (kind, meaning) in FIGURES.items():
            lines += [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}", *rows.pop(name, ())]
        return "\n".join([*lines, *(row for rest in rows.values() for row in rest), ""])


def count(figures: Figures, record: Call, seconds: float, trace_id: str) -> None:
    """Count a call, of a tool or of a worker's shard, and write its line."""
    verdict, tool = record.verdict or "refused", record.tool
    figures.add("fanout_calls_total", tool=tool, verdict=verdict)
    figures.observe("fanout_call_seconds", seconds, tool=tool)
    workers = record.elsewhere
    usd = record.usd + (workers.cost_usd or 0.0)
    figures.add("fanout_cost_usd_total", usd, tool=tool)
    figures.add("fanout_tokens_total", record.usage.tokens_in + workers.tokens_in, kind="in")
    figures.add("fanout_tokens_total", record.usage.tokens_out + workers.tokens_out, kind="out")
    line: Json = {"trace": record.trace, **({"call": record.origin.trace} if record.origin else {})}
    line |= {**({"trace_id": trace_id} if trace_id else {}), "tool": tool, "verdict": verdict}
    line |= {"seconds": round(seconds, 3), "usd": round(usd, 6)}
    sys.stderr.write(json.dumps(line) + "\n")


def gauges(limits: Limits | None, shared: Shared | None) -> Iterator[tuple[str, Labels, float]]:
    """Yield what is in flight and waits now, and how the shared Redis is."""
    for name, value in (shared.figures() if shared else {}).items():
        yield name, (), value
    for provider, values in (limits.now() if limits else {}).items():
        for name, value in zip(("inflight", "waiting", "limit"), values, strict=True):
            yield f"fanout_model_{name}", (("provider", provider),), value


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")[:120]


# --- questions to models -----------------------------------------------------------------------------------

CAPTURE: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"

_tracer: Final = trace.get_tracer("fanout")
_meter: Final = metrics.get_meter("fanout")
_duration: Final = _meter.create_histogram("gen_ai.client.operation.duration", "s")
_tokens: Final = _meter.create_histogram("gen_ai.client.token.usage", "{token}")
_cost: Final = _meter.create_counter("fanout.cost", "USD", "What models billed")


@dataclass(slots=True)
class Observed:
    """The backend of one tool call; all but `ask` is the backend's own."""

    inner: Backend
    figures: Figures
    has_contents: bool = field(default_factory=lambda: os.environ.get(CAPTURE, "").lower() == "true")
    tried: dict[tuple[str, str], str] = field(default_factory=dict)
    """By job and question: what came of it last."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def ask(self, job: Job) -> Answer:
        with self._observed(job) as answered:
            answer = await self.inner.ask(job)
            answered(answer)
            return answer

    @contextmanager
    def _observed(self, job: Job) -> Iterator[Callable[[Answer], None]]:
        named = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": self.inner.route(job.model).provider,
            **({"gen_ai.request.model": job.model} if job.model else {}),
        }
        provider, model = named["gen_ai.provider.name"], job.model or "default"
        outcome, began = "cut", time.monotonic()
        asked = (job.key, job.prompt.user)
        if (before := self.tried.get(asked)) is not None:
            self.figures.add("fanout_retries_total", provider=provider, reason=before)
        with _tracer.start_as_current_span(
            f"chat {job.model or ''}".strip(),
            kind=SpanKind.CLIENT,
            attributes={**named, "gen_ai.request.max_tokens": job.max_tokens},
            record_exception=False,
            set_status_on_exception=False,
        ) as span:

            def answered(answer: Answer) -> None:
                nonlocal outcome, model
                outcome, model = "answered", answer.model or model
                self._describe(span, job, answer, named)

            try:
                yield answered
            except Exception as error:
                outcome = type(error).__name__ if isinstance(error, BackendError) else "defect"
                raise
            finally:
                seconds = time.monotonic() - began
                failed = {} if outcome == "answered" else {"error.type": outcome}
                if failed:
                    span.set_attributes(failed)
                    span.set_status(Status(StatusCode.ERROR))
                self.tried[asked] = "unreadable" if outcome == "answered" else outcome
                _duration.record(seconds, {**named, **failed})
                self.figures.add("fanout_model_calls_total", provider=provider, model=model, outcome=outcome)
                self.figures.observe("fanout_model_call_seconds", seconds, provider=provider)

    def _describe(self, span: Span, job: Job, answer: Answer, named: Mapping[str, str]) -> None:
        used = answer.usage
        for kind, tokens in (("input", used.tokens_in), ("output", used.tokens_out)):
            _tokens.record(tokens, {**named, "gen_ai.token.type": kind})
            span.set_attribute(f"gen_ai.usage.{kind}_tokens", tokens)
        if not job.model:
            span.update_name(f"chat {answer.model}")
        span.set_attribute("gen_ai.response.model", answer.model)
        span.set_attribute("gen_ai.response.finish_reasons", ["length" if answer.truncated else "stop"])
        if used.cost_usd is not None:
            _cost.add(used.cost_usd, named)
            span.set_attribute("fanout.cost_usd", used.cost_usd)
        if self.has_contents and span.is_recording():
            asked = [_message("system", job.prompt.system), _message("user", job.prompt.user)]
            span.set_attribute("gen_ai.input.messages", json.dumps(asked))
            span.set_attribute("gen_ai.output.messages", json.dumps([_message("assistant", answer.text)]))


def _message(role: str, text: str) -> dict[str, object]:
    return {"role": role, "parts": [{"type": "text", "content": redact(text)[0]}]}


TOOL_USE: Final = "claudecode/toolUseId"
"""Where Claude Code names the model's use of the tool, in a call's `_meta`."""


def joined(meta: Mapping[str, Any] | None, own: str) -> str:
    """Join the span of a message to the client's use of the tool, and to our log; return its trace's id.

    That id may be the client's choice, so nothing is counted by it.
    """
    span = trace.get_current_span()
    use = (meta or {}).get(TOOL_USE)
    if isinstance(use, str):
        span.set_attribute("gen_ai.tool.call.id", use[:200])
    span.set_attribute("fanout.trace", own)
    found = span.get_span_context()
    return trace.format_trace_id(found.trace_id) if found.is_valid else ""


@contextmanager
def shard_span(own: str) -> Iterator[str]:
    """Open a worker's span; yield its trace's id, if any. `own`: our name for the trace of the call."""
    with _tracer.start_as_current_span("batch", attributes={"fanout.trace": own}) as span:
        found = span.get_span_context()
        yield trace.format_trace_id(found.trace_id) if found.is_valid else ""


# --- export ------------------------------------------------------------------------------------------------

SIGNALS: Final = ("TRACES", "METRICS")


def exported(env: Mapping[str, str]) -> tuple[str, ...]:
    """Return the signals that the standard variables ask to be exported."""
    if env.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return ()
    everywhere = env.get("OTEL_EXPORTER_OTLP_ENDPOINT", "")
    return tuple(
        one
        for one in SIGNALS
        if (everywhere or env.get(f"OTEL_EXPORTER_OTLP_{one}_ENDPOINT") or env.get(f"OTEL_{one}_EXPORTER"))
        and env.get(f"OTEL_{one}_EXPORTER", "otlp") != "none"
    )


def _place(env: Mapping[str, str], signal: str) -> str:
    """Return where a signal goes, by the variables' own rules."""
    base = env.get("OTEL_EXPORTER_OTLP_ENDPOINT") or "http://localhost:4318"
    return env.get(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT") or f"{base.removesuffix('/')}/v1/{signal.lower()}"


def _must_be_allowed(place: str) -> None:
    """Raise SettingsError where the policy lets nothing be sent to a collector, or to its proxy."""
    import requests  # what the exporter sends with: two readers of one address may find two hosts in it
    from requests.utils import get_environ_proxies, prepend_scheme_if_needed, select_proxy

    try:
        url = requests.Request("POST", place).prepare().url or ""
    except ValueError:
        raise SettingsError(f"OTEL_* names no usable address: {shown(place)}. Nothing was started.") from None
    proxy = select_proxy(url, get_environ_proxies(url))
    if barred := barred_host(url) or barred_host(prepend_scheme_if_needed(proxy, "http") if proxy else ""):
        raise SettingsError(f"Telemetry can't be sent to {shown(url)}: {barred}.")


def bound_session() -> requests.Session:
    """Return what sends telemetry, each time only where the policy lets it: that may change meanwhile."""
    import requests

    class Bound(requests.Session):
        def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
            _must_be_allowed(request.url or "")
            return super().send(request, **options)

    return Bound()


@contextmanager
def exporting(env: Mapping[str, str]) -> Iterator[None]:
    """Send spans and metrics while the block runs, the last of them at its end. Raises SettingsError."""
    signals = exported(env)
    if not signals:
        yield
        return
    chosen = {env.get(f"OTEL_{one}_EXPORTER", "otlp") for one in signals}
    if chosen != {"otlp"} or env.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf") != "http/protobuf":
        raise SettingsError(
            "OTEL_TRACES_EXPORTER and OTEL_METRICS_EXPORTER must be otlp or none, and "
            "OTEL_EXPORTER_OTLP_PROTOCOL http/protobuf. Nothing was started."
        )
    places = {one: _place(env, one) for one in signals}
    try:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise SettingsError(
            "OTEL_* asks for telemetry, which needs the extra: pip install '.[scale]' in fanout's clone. "
            "Nothing was started."
        ) from error
    for place in places.values():
        _must_be_allowed(place)
    is_named = env.get("OTEL_SERVICE_NAME") or "service.name" in env.get("OTEL_RESOURCE_ATTRIBUTES", "")
    resource = Resource.create({} if is_named else {"service.name": "fanout"})
    ends: list[Callable[[], None]] = []
    if "TRACES" in signals:
        spans = TracerProvider(resource=resource)
        spans.add_span_processor(
            BatchSpanProcessor(OTLPSpanExporter(places["TRACES"], session=bound_session()))
        )
        trace.set_tracer_provider(spans)
        ends.append(spans.shutdown)
    if "METRICS" in signals:
        figures = OTLPMetricExporter(places["METRICS"], session=bound_session())
        meters = MeterProvider([PeriodicExportingMetricReader(figures)], resource)
        metrics.set_meter_provider(meters)
        ends.append(meters.shutdown)
    try:
        yield
    finally:
        for end in ends:
            end()
