"""Logs, tracing, and opting out of the telemetry of dependencies, set up when a program starts.

    start("my_app", level=settings.log_level)

Nothing leaves the machine unless OTEL_EXPORTER_OTLP_ENDPOINT is set.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any, Literal

from seedbed.errors import ConfigError, MissingExtra
from seedbed.safety.secrets import redact_secrets

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""Id of the current HTTP request, "" outside one; part of every log line."""


@dataclass(frozen=True)
class Requester:
    """Who sent the current request, as logs and traces name them, and their count of tokens."""

    name: str
    groups: tuple[str, ...] = ()
    is_hashed: bool = False
    add_tokens: Callable[[int], None] | None = None

    def on_span(self, span: Any) -> None:
        """Set the attributes of OpenTelemetry's conventions for the user of a request."""
        span.set_attribute("enduser.pseudo.id" if self.is_hashed else "enduser.id", self.name)
        if self.groups:
            span.set_attribute("user.roles", self.groups)


requester: ContextVar[Requester | None] = ContextVar("requester", default=None)
"""Who sent the current request; part of every log line and span."""

_NO_TELEMETRY = {
    "DO_NOT_TRACK": "1",
    "ANONYMIZED_TELEMETRY": "False",  # Chroma
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "RAY_USAGE_STATS_ENABLED": "0",
}
# What a record without `extra` contains; uvicorn's color_message has escape codes.
_RECORD_FIELDS = {*vars(logging.makeLogRecord({})), "message", "asctime", "color_message"}
_NOISY_LOGGERS = (  # which log every request at INFO
    *("alembic", "asyncio", "chromadb", "httpcore", "httpx"),
    *("httpx2", "matplotlib", "urllib3", "uvicorn"),
)


def silence_dependencies() -> None:
    """Switch off the telemetry of Chroma, Gradio, Hugging Face, OpenVINO, MLflow and Ray.

    Call it before importing them, since they read these variables on import. Variables that are
    already set are kept. OpenVINO has none, but sends nothing if its telemetry package is missing.
    """
    for name, value in _NO_TELEMETRY.items():
        os.environ.setdefault(name, value)
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]


def start(service: str, level: str = "INFO", *, server: bool = True) -> None:
    """Set up everything in this module; `service` is the program's name in traces.

    A command that is not a `server` logs plain sentences: its stderr is read by a person.
    """
    silence_dependencies()
    setup_logging(level, server=server)
    setup_tracing(service)


class LogFormatter(logging.Formatter):
    """Formats log records with secrets redacted, in one of three styles.

    - "json": one object per line with time, level, logger, message, request_id, trace_id, caller
      and groups of a request, the traceback as exc_info, and the fields of `extra`.
    - "text": lines such as `15:20:01 INFO    message [request id]`.
    - "plain": the message alone.
    """

    def __init__(self, style: Literal["json", "text", "plain"]) -> None:
        prefix = "%(asctime)s %(levelname)-7s " if style == "text" else ""
        super().__init__(f"{prefix}%(message)s", "%H:%M:%S" if style == "text" else None)
        self.style = style

    def format(self, record: logging.LogRecord) -> str:
        if self.style != "json":
            suffix = f" [{request_id.get()}]" if request_id.get() else ""
            return redact_secrets(super().format(record)) + suffix
        line = {
            "time": self.formatTime(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": request_id.get(),
            "trace_id": _trace_id(),
            **_requester_fields(),
            **{name: value for name, value in vars(record).items() if name not in _RECORD_FIELDS},
        }
        if record.exc_info:
            line["exc_info"] = self.formatException(record.exc_info)
        # Redacted before it is encoded: the patterns expect line breaks and quotes as they are.
        return json.dumps(_redacted(line), ensure_ascii=False)


def _requester_fields() -> dict[str, Any]:
    who = requester.get()
    return {"caller": who.name, "groups": who.groups} if who else {}


def _redacted(value: Any, field: str = "") -> Any:
    """A value that JSON can represent, with secrets redacted; `field` may name it as one."""
    if isinstance(value, Mapping):
        return {str(name): _redacted(item, str(name)) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_redacted(item, field) for item in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    text = redact_secrets(str(value))
    return "[SECRET]" if redact_secrets(f"{field}={text}") == "[SECRET]" else text


def _trace_id() -> str:
    from opentelemetry import trace

    context = trace.get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else ""


def setup_logging(level: str = "INFO", *, server: bool = True) -> None:
    """Log to stderr: JSON lines, readable lines on a terminal, and sentences without `server`.

    Calling it again only changes the level. Raises ConfigError for an unknown level.
    """
    root = logging.getLogger()
    handler = next((h for h in root.handlers if getattr(h, "seedbed", False)), None)
    if handler is None:
        handler = logging.StreamHandler()
        handler.seedbed = True  # type: ignore[attr-defined]
        style: Literal["json", "text", "plain"] = "text" if sys.stderr.isatty() else "json"
        handler.setFormatter(LogFormatter(style if server else "plain"))
        root.addHandler(handler)
    try:
        root.setLevel(level.upper())
    except ValueError:
        raise ConfigError(
            f"SEEDBED_LOG_LEVEL={level!r}: unknown log level.",
            hint="Use DEBUG, INFO, WARNING or ERROR.",
        ) from None
    for noisy in _NOISY_LOGGERS:
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))


@cache
def setup_tracing(service: str) -> bool:
    """Export spans to OTEL_EXPORTER_OTLP_ENDPOINT.

    Returns False if it is not set; OpenTelemetry's SDK is not imported then. Raises MissingExtra if
    the exporter is not installed.
    """
    if not os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        return False
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.instrumentation.httpx import (
            HTTPX2ClientInstrumentor,
            HTTPXClientInstrumentor,
        )
    except ImportError as error:
        raise MissingExtra(str(error.name), "otlp") from None
    from opentelemetry import trace
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    class NameRequester(SpanProcessor):
        def on_start(self, span: Any, parent_context: Any = None) -> None:  # noqa: ARG002
            if who := requester.get():
                who.on_span(span)

    # Seconds. Short, so that an unreachable collector does not delay the exit of a command.
    timeout = float(os.environ.get("OTEL_EXPORTER_OTLP_TIMEOUT", "5"))
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(NameRequester())
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=timeout)))
    trace.set_tracer_provider(provider)
    # Requests to other servers name the trace that they belong to. All vendors' clients use these.
    clients = {"httpx": HTTPXClientInstrumentor, "httpx2": HTTPX2ClientInstrumentor}
    for module, instrumentor in clients.items():
        if find_spec(module):
            instrumentor().instrument()
    return True
