"""What a program does before its work: silence its dependencies, set up logs and tracing.

Nothing leaves the machine unless OTEL_EXPORTER_OTLP_ENDPOINT or MLFLOW_TRACKING_URI is set.
"""

from __future__ import annotations

import logging
import os
import sys
from contextvars import ContextVar
from functools import cache
from typing import Any

from seedbed.errors import ConfigError, MissingExtra
from seedbed.guardrails import redact_secrets

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The request being answered, "" outside one; every log line carries it."""

_NO_TELEMETRY = {
    "DO_NOT_TRACK": "1",
    "ANONYMIZED_TELEMETRY": "False",  # Chroma
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "RAY_USAGE_STATS_ENABLED": "0",
}


def silence_dependencies() -> None:
    """Switch off the telemetry of Chroma, Gradio, Hugging Face, OpenVINO, MLflow and Ray.

    They read their switches when imported, so this runs first; a variable already set wins.
    OpenVINO has no variable: it falls back to a silent stub when its telemetry package is absent.
    """
    for name, value in _NO_TELEMETRY.items():
        os.environ.setdefault(name, value)
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]


def start(service: str, level: str = "INFO") -> None:
    """What every program does first: silence dependencies, log, and export spans if asked to."""
    silence_dependencies()
    setup_logging(level)
    setup_tracing(service)


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        suffix = f" [{request_id.get()}]" if request_id.get() else ""
        return redact_secrets(super().format(record)) + suffix


def text_formatter() -> logging.Formatter:
    """`15:20:01 INFO    message [request id]`"""
    return _Text("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")


def json_formatter() -> logging.Formatter:
    """One object a line: time, level, logger, message, request_id, trace_id, what `extra` holds."""
    from pythonjsonlogger.core import RESERVED_ATTRS
    from pythonjsonlogger.json import JsonFormatter

    class Json(JsonFormatter):
        def add_fields(
            self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]
        ) -> None:
            super().add_fields(log_data, record, message_dict)
            log_data["request_id"] = request_id.get()
            log_data["trace_id"] = _trace_id()

        def format(self, record: logging.LogRecord) -> str:
            return redact_secrets(super().format(record))

    return Json(
        "{asctime}{levelname}{name}{message}",
        style="{",
        rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
        reserved_attrs=[*RESERVED_ATTRS, "color_message"],  # uvicorn's, with escape codes
        json_ensure_ascii=False,
    )


def _trace_id() -> str:
    from opentelemetry import trace

    context = trace.get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else ""


def setup_logging(level: str = "INFO") -> None:
    """Log to stderr: readable lines on a terminal, one JSON object a line elsewhere.

    Keys and tokens in a message are redacted. Calling it again only changes the level.
    """
    root = logging.getLogger()
    handler = next((h for h in root.handlers if getattr(h, "seedbed", False)), None)
    if handler is None:
        handler = logging.StreamHandler()
        handler.seedbed = True  # type: ignore[attr-defined]
        if sys.stderr.isatty():
            handler.setFormatter(text_formatter())
        else:
            handler.setFormatter(json_formatter())
        root.addHandler(handler)
    try:
        root.setLevel(level.upper())
    except ValueError:
        raise ConfigError(
            f"SEEDBED_LOG_LEVEL={level!r} is not a level.",
            hint="Use DEBUG, INFO, WARNING or ERROR.",
        ) from None
    for noisy in (
        "alembic",
        "httpx",
        "httpx2",
        "httpcore",
        "chromadb",
        "urllib3",
        "asyncio",
        "uvicorn",
    ):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))


def _endpoints() -> list[tuple[str | None, dict[str, str]]]:
    """Where spans go: (address, headers); None means the exporter reads its own variables."""
    found: list[tuple[str | None, dict[str, str]]] = []
    if os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        found.append((None, {}))
    mlflow = os.environ.get("MLFLOW_TRACKING_URI", "")
    if mlflow.startswith(("http://", "https://")):
        # MLflow >= 3.6 with a database behind it takes OTLP over HTTP:
        # https://mlflow.org/docs/latest/genai/tracing/opentelemetry/ingest
        experiment = os.environ.get("MLFLOW_EXPERIMENT_ID", "0")
        found.append((f"{mlflow.rstrip('/')}/v1/traces", {"x-mlflow-experiment-id": experiment}))
    return found


@cache
def setup_tracing(service: str) -> bool:
    """Export spans to the addresses the environment names; False, at no cost, if it names none."""
    endpoints = _endpoints()
    if not endpoints:
        return False
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError:
        raise MissingExtra("opentelemetry-exporter-otlp-proto-http", "otlp") from None
    from opentelemetry import trace
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    # Short, so that a stopped collector does not hold up the end of a command.
    timeout = float(os.environ.get("OTEL_EXPORTER_OTLP_TIMEOUT", "5"))
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    for endpoint, headers in endpoints:
        exporter = OTLPSpanExporter(endpoint=endpoint, headers=headers or None, timeout=timeout)
        provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return True
