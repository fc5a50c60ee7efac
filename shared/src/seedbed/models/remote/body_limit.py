"""A limit on the body of a vendor's reply, for the HTTP clients of OpenAI and Anthropic.

    client = openai.DefaultAsyncHttpxClient(event_hooks={"response": [limit_body]})

Without it, an endless or compressed body takes all memory. Requests must send PLAIN, as the bytes
are counted before they would be decompressed.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from typing import Any

from seedbed.errors import InvalidReply

MAX_BODY = 16_000_000  # bytes
PLAIN = {"Accept-Encoding": "identity"}


async def limit_body(response: Any) -> None:
    """Let reading a response of httpx, or httpx2, fail after MAX_BODY bytes with InvalidReply."""
    if response.headers.get("content-encoding", "identity") != "identity":
        raise InvalidReply("The model's server sent a compressed reply, which was not requested.")
    module = sys.modules[type(response).__module__.partition(".")[0]]
    stream = response.stream

    class Limited(module.AsyncByteStream):  # type: ignore[name-defined, misc]
        async def __aiter__(self) -> AsyncIterator[bytes]:
            size = 0
            async for part in stream:
                size += len(part)
                if size > MAX_BODY:
                    raise InvalidReply(f"The model's reply has over {MAX_BODY:,} bytes.")
                yield part

        async def aclose(self) -> None:
            await stream.aclose()

    response.stream = Limited()
