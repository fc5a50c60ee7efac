"""Logging to stderr: readable on a terminal, JSON elsewhere, each line with its request id."""

from __future__ import annotations

import logging
import sys
from contextvars import ContextVar
from typing import Any

from seedbed.errors import ConfigError
from seedbed.guardrails import redact_secrets

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The request being answered, "" outside one; every log line carries it."""


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
    for noisy in ("httpx", "httpx2", "httpcore", "chromadb", "urllib3", "asyncio", "uvicorn"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
