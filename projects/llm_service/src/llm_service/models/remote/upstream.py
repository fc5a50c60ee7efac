"""The HTTP side of an upstream: the session, limits, and what went wrong.

An error of an upstream becomes one of ours by what can be done about it: BadInput where the client
must change its request, Unavailable or DeadlineExceeded where another target may do better. What
concerns only the operator (a wrong key) is logged, not sent to the client.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from email.utils import parsedate_to_datetime
from time import time
from typing import TYPE_CHECKING, Any

from llm_service.models.entry import ModelEntry
from llm_service.request import TOO_LONG, Ask, Load, Usage, prompt_chars
from seedbed.errors import (
    BadInput,
    ContextWindowError,
    DeadlineExceeded,
    SeedbedError,
    Unavailable,
)
from seedbed.safety.personal_data import find_pii
from seedbed.safety.secrets import redact_secrets, replace_findings

if TYPE_CHECKING:
    import aiohttp

log = logging.getLogger(__name__)

MAX_ANSWER = 64 * 2**20
"""Bytes of one answer, at most."""
_CONNECT = 5.0
_END_OF_BODY = 0.1
_MOST_ERROR = 16 * 2**10
_MOST_TOKENS = 4_000_000  # above every model's context window
# A key that is refused now is refused in a minute too: other targets are tried until then.
WRONG_KEY_PAUSE = 60.0


def open_session() -> aiohttp.ClientSession:
    """The one session of a service; close it with `await session.close()`.

    It reads no proxy from the environment and keeps no cookies: the table alone decides where a
    request goes, and one client's request leaves nothing for the next.
    """
    import aiohttp

    # Shorter than uvicorn's five seconds (vLLM's server): the side that reuses a connection must
    # give it up first, or a request meets one that is just being closed.
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=4.0, ttl_dns_cache=60)
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=True,
        skip_auto_headers=("User-Agent", "Accept"),
        headers={"User-Agent": "llm-service", "Accept-Encoding": "identity"},
        read_bufsize=2**18,
    )


class Upstream:
    """A model behind an HTTP API: sends requests, and makes our errors of what goes wrong."""

    def __init__(self, name: str, entry: ModelEntry, session: aiohttp.ClientSession) -> None:
        import aiohttp

        self.name = name
        self.load = Load()
        self.entry = entry
        self._session = session
        self._headers = {"Content-Type": "application/json"}
        if entry.api_key:
            self._headers["Authorization"] = f"Bearer {entry.api_key}"
        # No total: the router's deadline is the total, and closing ends the request.
        self._timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=_CONNECT, sock_read=entry.timeout
        )

    async def close(self) -> None:
        """Nothing to close: the session belongs to the pool's owner."""

    async def _send(self, path: str, body: bytes) -> aiohttp.ClientResponse:
        """Send a request; returns a successful response, to be read in a block of `_reading`."""
        from opentelemetry import propagate

        self.load.running += 1
        response = None
        headers = dict(self._headers)
        propagate.inject(headers)  # the trace that the request belongs to, if spans are recorded
        try:
            response = await self._session.post(
                self.entry.base_url + path,
                data=body,
                headers=headers,
                allow_redirects=False,  # it would carry the key and the prompt elsewhere
                timeout=self._timeout,
            )
            if response.status != 200:
                raise await self._refusal(response)
        except BaseException as error:
            self._end(response)
            if isinstance(error, Exception):
                raise self._failure(error) from None
            raise
        return response

    @asynccontextmanager
    async def _reading(self, response: aiohttp.ClientResponse) -> AsyncIterator[None]:
        """The block in which a response is read: it ends the request, whatever happens."""
        try:
            yield
        except Exception as error:
            raise self._failure(error) from None
        finally:
            self._end(response)

    def _end(self, response: aiohttp.ClientResponse | None) -> None:
        self.load.running -= 1
        # Not read to its end, the connection is closed and the upstream stops its work; read to
        # its end, it has gone back to the pool already.
        if response is not None:
            response.close()

    async def _drain(self, response: aiohttp.ClientResponse) -> None:
        """Read the end of a body behind a finished answer, to use the connection again."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_END_OF_BODY):
                while not response.content.at_eof():
                    await response.content.readany()

    async def _read(self, response: aiohttp.ClientResponse, most: int = MAX_ANSWER) -> bytes:
        parts, size = [], 0
        async for chunk in response.content.iter_any():
            parts.append(chunk)
            size += len(chunk)
            if size > most:
                raise Unavailable(f"{self.name}: the upstream sent more than {most:,} bytes.")
        return b"".join(parts)

    async def _read_json(self, response: aiohttp.ClientResponse) -> dict[str, Any]:
        data = await self._read(response)
        try:
            payload = json.loads(data)
        except (ValueError, RecursionError):
            payload = None
        if not isinstance(payload, dict):
            raise self._malformed(data)
        return payload

    def _malformed(self, data: bytes | str) -> Unavailable:
        """The error for an answer that is not in the protocol; only the log has an extract of it,
        as it may contain anything: a stack trace, a login page, another user's text.
        """
        text = data[:200].decode("utf-8", "replace") if isinstance(data, bytes) else data[:200]
        extract = self._clean(text)
        log.warning("%s: malformed data from %s: %r", self.name, self.entry.base_url, extract)
        return Unavailable(f"{self.name}: the upstream sent malformed data.")

    def _clean(self, text: str) -> str:
        """Text of an upstream, without secrets and personal data, for errors and the log."""
        if key := self.entry.api_key:
            text = text.replace(key, "[SECRET]")
        text = " ".join(text[:2000].split())
        return redact_secrets(replace_findings(text, find_pii(text)))[:500]

    async def _refusal(self, response: aiohttp.ClientResponse) -> SeedbedError:
        try:
            async with asyncio.timeout(_CONNECT):
                data = await self._read(response, _MOST_ERROR)
        except (TimeoutError, Unavailable):
            data = b""
        try:
            payload = json.loads(data)
        except (ValueError, RecursionError):
            payload = None
        error_text, code = message_of(payload)
        return self.refusal(response.status, error_text, code, retry_after(response.headers))

    def refusal(
        self, status: int, error_text: str, code: str, wait: float | None = None
    ) -> SeedbedError:
        """Our error for an upstream's status; `error_text` is "" if it sent no error of its own.

        The client is shown what it can correct in its request; the rest is for the log.
        """
        error_text = self._clean(error_text)
        if code == TOO_LONG:
            too_long = ContextWindowError(f"{self.name}: {error_text}")
            too_long.details["code"] = TOO_LONG
            return too_long
        if status in (400, 404, 405, 413, 422) and error_text:
            return BadInput(f"{self.name}: the upstream returned {status}: {error_text}")
        log.warning("%s: %s returned %d: %s", self.name, self.entry.base_url, status, error_text)
        if status in (401, 403) or code == "insufficient_quota":
            refused = Unavailable(f"{self.name}: the upstream rejected this service's API key.")
            refused.retry_after = WRONG_KEY_PAUSE
            return refused
        text = f"{self.name}: the upstream returned {status}."
        error = (DeadlineExceeded if status in (408, 504) else Unavailable)(text)
        error.retry_after = wait
        return error

    def _failure(self, error: Exception) -> SeedbedError:
        """Our error for what the connection did."""
        import aiohttp

        if isinstance(error, SeedbedError):
            return error
        if isinstance(error, aiohttp.ServerTimeoutError | TimeoutError):
            if isinstance(error, aiohttp.ConnectionTimeoutError):
                return Unavailable(f"{self.name}: connecting to the upstream timed out.")
            return DeadlineExceeded(
                f"{self.name}: the upstream sent nothing for {self.entry.timeout:g} s."
            )
        if isinstance(error, aiohttp.ClientConnectorError):
            log.warning("%s: %s: %s", self.name, self.entry.base_url, error)
            return Unavailable(f"{self.name}: cannot connect to the upstream.")
        if isinstance(error, aiohttp.ClientError | OSError | ValueError):
            what = type(error).__name__
            log.warning("%s: %s: %s: %s", self.name, self.entry.base_url, what, error)
            return Unavailable(f"{self.name}: the connection to the upstream failed ({what}).")
        raise error


def message_of(payload: Any) -> tuple[str, str]:
    """The message and the code of an error body; both "" if it is not an API's error.

    OpenAI nests it under `error`; FastAPI (older vLLM) has `detail` or `message`.
    """
    if not isinstance(payload, dict):
        return "", ""
    error = payload.get("error")
    if isinstance(error, str):
        return error, ""
    if isinstance(error, dict):
        payload = error
    error_text = payload.get("message") or payload.get("detail") or ""
    code = payload.get("code") or payload.get("type") or ""
    return error_text if isinstance(error_text, str) else json.dumps(error_text), str(code)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of a Retry-After header, which may also be a date (RFC 9110, section 10.2.3)."""
    value = headers.get("retry-after")
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time()
        except (ValueError, TypeError, OverflowError):
            return None
    return min(max(seconds, 0.0), 3600.0) if seconds == seconds else None


def estimate(text_chars: int, at_least: int = 1) -> int:
    """Tokens of a text whose tokenizer is not known: four characters each, never none."""
    return max(at_least, -(-text_chars // 4), 1)


def bounded(entry: ModelEntry, usage: Usage, ask: Ask, chars: int, deltas: int = 1) -> Usage:
    """The usage as reported; a count that is missing or cannot be true is estimated, from the
    prompt and from the characters and deltas of the answer. So nothing is free, and a wrong count
    does not use up a key's budget.
    """
    window = entry.context_window or _MOST_TOKENS
    answer = ask.body.get("max_completion_tokens") or ask.body.get("max_tokens") or window
    prompt, written = usage.prompt_tokens, usage.completion_tokens
    if not 0 < prompt <= window:
        prompt = estimate(prompt_chars(ask.body))
    if not 0 < written <= answer * int(ask.body.get("n") or 1):
        written = estimate(chars, deltas)
    return Usage(prompt, written, min(usage.cached_tokens, prompt))
