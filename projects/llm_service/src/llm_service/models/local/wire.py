"""The protocol between the service and the process of a local model: one JSON value per line.

The service sends objects: first `{"kind", "spec", "options"}` to load a model, then
`{"id", "ask", "body"}` for each request and `{"id", "cancel": true}` to cancel one. The process
sends lists of events:

    [id, "text", index, text, tokens, logprobs]     one or several tokens
    [id, "calls", index, tool_calls, tokens]
    [id, "finish", index, reason]
    [id, "usage", prompt_tokens, completion_tokens]
    [id, "vectors", [base64 of float32 little-endian, …], tokens]
    [id, "error", {type, message, hint, retry_after, details}]

The last four end a request (`finish` one choice of it). The first line that the process sends is
`{"ready": true}` or `{"failed": {…}}`.
"""

from __future__ import annotations

import json
from typing import Any

from llm_service.request import TOO_LONG
from seedbed import errors
from seedbed.errors import ContextWindowError, SeedbedError

Frame = list[Any]


def encode(value: Any) -> bytes:
    return (
        json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(
            "utf-8", "surrogatepass"
        )
        + b"\n"
    )


def decode(line: bytes) -> Any:
    return json.loads(line)


def from_error(error: SeedbedError) -> dict[str, Any]:
    """An error for the other side, which raises it again with `to_error`."""
    if isinstance(error, ContextWindowError):
        error.details.setdefault("code", TOO_LONG)
    return {
        "type": type(error).__name__,
        "message": error.message,
        "hint": error.hint,
        "retry_after": error.retry_after,
        "details": error.details,
    }


def to_error(fields: dict[str, Any]) -> SeedbedError:
    """The error that `from_error` described; an unknown kind becomes a plain SeedbedError."""
    kind = getattr(errors, fields["type"], SeedbedError)
    if not (isinstance(kind, type) and issubclass(kind, SeedbedError)):
        kind = SeedbedError
    error = SeedbedError.__new__(kind)
    SeedbedError.__init__(error, fields["message"], hint=fields["hint"])
    if fields["retry_after"] is not None:
        error.retry_after = fields["retry_after"]
    error.details = fields["details"]
    return error
