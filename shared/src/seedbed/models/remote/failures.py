"""Translates every failure of a remote model's call into one of our errors.

    except Exception as error:
        raise translate(error, spec) from error

    check_reply(message, spec)    # ReplyCutOff, ReplyRefused, EmptyReply …

Providers agree on the meaning of HTTP statuses, and their clients keep them in a few attributes, so
this module needs no client. The statuses of OpenAI, Anthropic, Azure, Bedrock (botocore), Google,
Mistral (httpx), Groq and Ollama are told apart.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

from langchain_core import exceptions as langchain
from langchain_core.messages import AIMessage, AIMessageChunk

from seedbed import errors
from seedbed.errors import SeedbedError
from seedbed.models.remote.providers import key_variables
from seedbed.models.weights.catalog import Spec
from seedbed.safety.secrets import redact_secrets

log = logging.getLogger(__name__)

_MAX_CAUSES = 10
MAX_DETAIL = 300  # characters of a provider's message that are shown
# Codes of OpenAI and Azure, and types of Anthropic.
_NO_QUOTA = ("insufficient_quota", "billing_error", "billing_not_active")
_FILTERED = ("content_filter", "content_policy_violation", "ResponsibleAIPolicyViolation")
CUT_OFF = ("length", "max_tokens", "MAX_TOKENS", "model_context_window_exceeded")
REFUSED = ("content_filter", "refusal", "SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST", "RECITATION")


# The error, its text, and the hint; {key} is the variable of the API key, if it is known.
_KINDS: dict[str, tuple[type[errors.ModelError], str, str]] = {
    "quota": (errors.ModelAccessError, "has no quota left", "Check the billing of the account."),
    "refusal": (errors.ReplyRefused, "declined to answer", "Change the request."),
    "key": (errors.ModelAccessError, "refused the API key", "Check {key}."),
    "forbidden": (errors.ModelAccessError, "refused access", "Check {key}."),
    "model": (
        errors.ModelNotFound,
        "was not found",
        "Check its name and SEEDBED_BASE_URL.",
    ),
    "rate": (errors.RateLimited, "has reached its rate limit", "Retry later."),
    "timeout": (errors.ModelTimeout, "did not reply in time", "Retry, or raise the timeout."),
    "unavailable": (errors.ModelUnavailable, "is unavailable", "Retry later."),
    "request": (errors.ModelRequestError, "rejected the request", "Change the request."),
    "broken": (errors.ModelUnavailable, "broke off its reply", "Retry later."),
    "unreadable": (
        errors.InvalidReply,
        "sent a reply that cannot be read",
        "Check SEEDBED_BASE_URL.",
    ),
}
_STATUSES = {401: "key", 403: "forbidden", 402: "quota", 404: "model", 429: "rate", 408: "timeout"}
_STATUSES |= {409: "unavailable", 425: "unavailable"}
# LangChain's classes, those of httpx and of the vendors' clients by their names, and Python's.
_CLASSES = {
    "ModelRefusalError": "refusal",
    "ModelAuthenticationError": "key",
    **dict.fromkeys(("ModelTimeoutError", "APITimeoutError", "TimeoutError"), "timeout"),
    **dict.fromkeys(("ModelConnectionError", "APIConnectionError", "OSError"), "unavailable"),
    **dict.fromkeys(("TransportError", "HTTPClientError", "ConnectionError"), "unavailable"),
    # botocore, which has no status for what went wrong before a request, and google-auth
    **dict.fromkeys(("ConnectTimeoutError", "ReadTimeoutError", "TimeoutException"), "timeout"),
    **dict.fromkeys(("NoCredentialsError", "CredentialRetrievalError", "SSOError"), "key"),
    **dict.fromkeys(("GoogleAuthError", "ClientAuthenticationError"), "key"),
}


def _kind(error: BaseException, status: int | None, code: str, detail: str) -> str:
    """What went wrong: a code is more exact than a class or a status."""
    if code in _NO_QUOTA or "credit balance" in detail:
        return "quota"
    if code in _FILTERED:
        return "refusal"
    if "rate_limit" in code:
        return "rate"
    for cls in type(error).__mro__:
        if cls.__name__ in _CLASSES:
            return _CLASSES[cls.__name__]
    if status is None:  # an error event inside a stream has a code alone
        return "broken" if code else "unreadable"
    return _STATUSES.get(status, "unavailable" if status >= 500 else "request")


def translate(error: BaseException, spec: Spec, model: Any = None) -> SeedbedError:
    """Our error for an exception of a provider's client, with its HTTP status and a hint.

    `model` is LangChain's model or embeddings, which know the variables of their keys.
    """
    # A client wraps what is raised while it reads, such as by `limit_body`, and an integration
    # wraps its client's error.
    causes = [error]
    while (cause := causes[-1].__cause__) is not None and len(causes) < _MAX_CAUSES:
        causes.append(cause)
    for cause in causes:
        if isinstance(cause, SeedbedError):
            return cause
    found = next(((cause, s) for cause in causes if (s := _status(cause))), (error, None))
    error, status = found
    detail, code, parameter = _detail(error)
    if code == "context_length_exceeded" or isinstance(error, langchain.ContextOverflowError):
        return errors.ContextWindowError(
            f"The prompt exceeds the context window of {spec}: {detail}", hint="Shorten the prompt."
        )
    cls, text, hint = _KINDS[_kind(error, status, code, detail)]
    if cls is errors.InvalidReply:
        log.warning("unreadable reply of %s", spec, exc_info=error)
    message = f"{spec} {text}{f' ({status})' if status else ''}{f': {detail}' if detail else ''}"
    message = message if message.endswith((".", "!", "?")) else f"{message}."
    hint, more = hint.format(key=key_variables(model)), {}
    if cls is errors.RateLimited and (after := _retry_after(error)) is not None:
        hint, more = f"Retry after {after:.3g} s.", {"retry_after": after}
    failure = cls(message, hint=hint, provider_status=status, **more)
    if parameter:
        failure.details = {"param": parameter}
    return failure


def _status(error: BaseException) -> int | None:
    """The HTTP status that a client's error has; None without one, or inside a stream (200)."""
    response = getattr(error, "response", None)
    if isinstance(response, Mapping):  # botocore's
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    else:
        status = getattr(response, "status_code", None)  # httpx'
    statuses = (getattr(error, "status_code", None), getattr(error, "code", None), status)
    return next((s for s in statuses if isinstance(s, int) and s >= 400), None)


def check_reply(message: AIMessage, spec: Spec, *, streamed: bool = False) -> None:
    """Raise if a reply was refused, cut off, empty, or has tool calls that are not JSON.

    A stream must also have ended by itself, which its finish reason shows.
    """
    metadata = message.response_metadata
    reasons = (metadata.get(key) for key in ("finish_reason", "stop_reason", "done_reason"))
    reason = next((str(reason) for reason in reasons if reason), "")
    refusal = message.additional_kwargs.get("refusal")
    if refusal or reason in REFUSED:
        detail = f": {str(refusal)[:MAX_DETAIL]}" if refusal else f" (finish reason {reason!r})."
        raise errors.ReplyRefused(f"{spec} declined to answer{detail}", hint="Change the request.")
    if reason in CUT_OFF:
        cut_off = errors.ReplyCutOff(
            f"{spec} reached the token limit before its reply was complete.",
            hint="Raise max_tokens, or ask for less.",
        )
        cut_off.partial = str(message.text)
        raise cut_off
    if streamed and not reason and spec.provider in ("openai", "azure_openai", "anthropic"):
        raise errors.ModelUnavailable(f"{spec} broke off its reply.", hint="Retry later.")
    if calls := _invalid_calls(message):
        name, arguments = calls[0]
        invalid = errors.InvalidReply(
            f"{spec} called the tool {name!r} with arguments that are not JSON:"
            f" {arguments[:MAX_DETAIL]!r}."
        )
        invalid.retryable = True
        raise invalid
    if not str(message.text).strip() and not message.tool_calls:
        raise errors.EmptyReply(
            f"{spec} sent an empty reply.", hint="Retry, or change the request."
        )


def _invalid_calls(message: AIMessage) -> list[tuple[str, str]]:
    """Names and arguments of tool calls whose arguments are not a JSON object."""
    calls = [(str(call["name"]), str(call["args"])) for call in message.invalid_tool_calls]
    if isinstance(message, AIMessageChunk):  # which completes arguments that were cut off
        for chunk in message.tool_call_chunks:
            arguments = chunk["args"] or "{}"
            try:
                valid = isinstance(json.loads(arguments), dict)
            except ValueError:
                valid = False
            if not valid:
                calls.append((str(chunk["name"]), arguments))
    return calls


def _detail(error: BaseException) -> tuple[str, str, str]:
    """The provider's message, on one line without secrets; its code or type; the parameter."""
    body = getattr(error, "body", None)
    if body is None and isinstance(response := getattr(error, "response", None), Mapping):
        body = {name.lower(): value for name, value in response.get("Error", {}).items()}
    body = body.get("error", body) if isinstance(body, Mapping) else {}
    code = message = parameter = ""
    if isinstance(body, Mapping):
        code = str(body.get("code") or body.get("type") or "")
        message = str(body.get("message") or "")
        parameter = str(body.get("param") or "")
    elif body:
        message = str(body)
    message = message or str(getattr(error, "message", "") or error).partition("\n")[0]
    if message.lstrip().startswith("<"):  # a proxy's page
        message = ""
    message = redact_secrets(" ".join(message.split()))
    message = f"{message[:MAX_DETAIL]} …" if len(message) > MAX_DETAIL else message
    return message, code, parameter


def _retry_after(error: BaseException) -> float | None:
    """Seconds from the headers `retry-after-ms` or `retry-after`."""
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    try:
        if milliseconds := headers.get("retry-after-ms"):
            return max(0.0, float(milliseconds) / 1000)
        return max(0.0, float(headers["retry-after"]))
    except (KeyError, ValueError):  # none, or a date
        return None
