"""Every way in which a call of a remote model fails, as one of our errors.

    except Exception as error:
        raise translate(error, "openai:gpt-4o-mini") from error

    check_reply(message, "openai:gpt-4o-mini")    # ReplyCutOff, ReplyRefused, EmptyReply …

Providers agree on the meaning of HTTP statuses, and their clients on the attributes `status_code`,
`response` and `body`, so this module needs no client. What to try again is left to `chat`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from langchain_core import exceptions as langchain
from langchain_core.messages import AIMessage, AIMessageChunk

from seedbed import errors
from seedbed.errors import SeedbedError
from seedbed.models.remote.providers import key_variable
from seedbed.safety.secrets import redact_secrets

log = logging.getLogger(__name__)

MAX_DETAIL = 300  # characters of a provider's message that are shown
# Codes of OpenAI and Azure, and types of Anthropic.
_NO_QUOTA = ("insufficient_quota", "billing_error", "billing_not_active")
_FILTERED = ("content_filter", "content_policy_violation", "ResponsibleAIPolicyViolation")
_CUT_OFF = ("length", "max_tokens", "MAX_TOKENS", "model_context_window_exceeded")
_REFUSED = ("content_filter", "refusal", "SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST", "RECITATION")


def translate(error: BaseException, spec: str) -> SeedbedError:
    """The error of ours for an exception of a provider's client, with its status and what to do.

    >>> translate(TimeoutError(), "openai:gpt-4o-mini").type
    'model_timeout'
    """
    if isinstance(error, SeedbedError):
        return error
    status = _status(error)
    detail, code, parameter = _detail(error)

    def failure(
        kind: type[errors.ModelError], text: str, hint: str = "", **more: Any
    ) -> SeedbedError:
        number = f" ({status})" if status else ""
        message = f"{spec} {text}{number}{f': {detail}' if detail else ''}"
        message = message if message.endswith((".", "!", "?")) else f"{message}."
        translated = kind(message, hint=hint, provider_status=status, **more)
        if parameter:
            translated.details = {"param": parameter}
        return translated

    # 1. A code that is more exact than the status.
    if code in _NO_QUOTA or status == 402 or "credit balance" in detail:
        text = "refused the call, as the account has no quota left"
        return failure(errors.ModelAccessError, text, "Check the plan and billing of the account.")
    if code in _FILTERED or isinstance(error, langchain.ModelRefusalError):
        return failure(errors.ReplyRefused, "declined to answer", "Change the request.")
    if code == "context_length_exceeded" or isinstance(error, langchain.ContextOverflowError):
        return errors.ContextWindowError(
            f"The prompt exceeds the context window of {spec}: {detail}", hint="Shorten the prompt."
        )
    # 2. The status.
    if status in (401, 403) or isinstance(error, langchain.ModelAuthenticationError):
        text = "refused access" if status == 403 else "refused the API key"
        return failure(errors.ModelAccessError, text, f"Check {key_variable(spec)}.")
    if status == 404:
        hint = "Check the model's name, and SEEDBED_BASE_URL if it is set."
        return failure(errors.ModelNotFound, "was not found", hint)
    if status == 429 or "rate_limit" in code:
        after = _retry_after(error)
        more = {} if after is None else {"retry_after": after}
        hint = "Retry later." if after is None else f"Retry after {after:.3g} s."
        return failure(errors.RateLimited, "has reached its rate limit", hint, **more)
    if status == 408 or _is_timeout(error):
        return failure(errors.ModelTimeout, "did not reply in time", "Retry, or raise the timeout.")
    if status in (409, 425) or (status or 0) >= 500 or _is_connection(error):
        return failure(errors.ModelUnavailable, "is unavailable", "Retry later.")
    if status is not None:
        return failure(errors.ModelRequestError, "rejected the request", "Change the request.")
    # 3. An error event inside a stream has no status.
    if code:
        return failure(errors.ModelUnavailable, "broke off its reply", "Retry later.")
    # 4. A reply that the client cannot read, such as one without `choices`.
    log.warning("unreadable reply of %s", spec, exc_info=error)
    hint = "Does SEEDBED_BASE_URL name an API of this provider's protocol?"
    return failure(errors.InvalidReply, "sent a reply that cannot be read", hint)


def check_reply(message: AIMessage, spec: str, *, streamed: bool = False) -> None:
    """Raise if a reply was refused, cut off, empty, or has tool calls that are not JSON.

    A stream must also have ended by itself, which its finish reason shows.
    """
    metadata = message.response_metadata
    reasons = (metadata.get(key) for key in ("finish_reason", "stop_reason", "done_reason"))
    reason = next((str(reason) for reason in reasons if reason), "")
    refusal = message.additional_kwargs.get("refusal")
    if refusal or reason in _REFUSED:
        detail = f": {str(refusal)[:MAX_DETAIL]}" if refusal else f" (finish reason {reason!r})."
        raise errors.ReplyRefused(f"{spec} declined to answer{detail}", hint="Change the request.")
    if reason in _CUT_OFF:
        cut_off = errors.ReplyCutOff(
            f"{spec} reached the token limit before its reply was complete.",
            hint="Raise max_tokens, or ask for less.",
        )
        cut_off.partial = str(message.text)
        raise cut_off
    if streamed and not reason and spec.startswith(("openai:", "anthropic:")):
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


def _status(error: BaseException) -> int | None:
    status = getattr(error, "status_code", None) or getattr(error, "code", None)
    return status if isinstance(status, int) and status >= 400 else None  # 200: inside a stream


def _detail(error: BaseException) -> tuple[str, str, str]:
    """The provider's message, on one line without secrets; its code or type; the parameter."""
    body = getattr(error, "body", None)
    body = body.get("error", body) if isinstance(body, Mapping) else {}
    code = message = parameter = ""
    if isinstance(body, Mapping):
        code = str(body.get("code") or body.get("type") or "")
        message = str(body.get("message") or "")
        parameter = str(body.get("param") or "")
    elif body:
        message = str(body)
    message = message or str(error).partition("\n")[0]
    if message.lstrip().startswith("<"):  # a proxy's page
        message = ""
    message = redact_secrets(" ".join(message.split()))
    message = f"{message[:MAX_DETAIL]} …" if len(message) > MAX_DETAIL else message
    return message, code, parameter


def _retry_after(error: BaseException) -> float | None:
    """Seconds from the headers `retry-after-ms` or `retry-after` (a number or a date)."""
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    try:
        if milliseconds := headers.get("retry-after-ms"):
            return max(0.0, float(milliseconds) / 1000)
        value = headers.get("retry-after")
        if value is None:
            return None
        if value.strip().replace(".", "", 1).isdigit():
            return float(value)
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None


def _is_timeout(error: BaseException) -> bool:
    return isinstance(error, TimeoutError | langchain.ModelTimeoutError) or any(
        kind.__name__ in ("TimeoutException", "APITimeoutError") for kind in type(error).__mro__
    )


def _is_connection(error: BaseException) -> bool:
    return isinstance(error, OSError | langchain.ModelConnectionError) or any(
        kind.__name__ in ("TransportError", "APIConnectionError") for kind in type(error).__mro__
    )
