"""The table of replies: what the server answers, and what it records about each request.

    Reply("Hello.", delay=0.1)
    Reply(tool_calls=[("lookup", {"city": "Paris"})])    # arguments as a str are sent unchanged
    Reply(fault="429", retry_after=0.2)
    Reply("Only for invoices.", match="invoice")         # out of order, by the request's text

On disk a table has one reply per line, a string or an object with the same field names, such as
`{"fault": "429", "retry_after": 0.2}`.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

IMAGE_TOKENS = 765  # what gpt-4o charges for 1024 x 1024 pixels
FAULTS = (
    # Error responses of the vendor; 502 is an HTML page of the proxy in front of it.
    *("401", "403", "404", "429", "insufficient_quota", "500", "502", "503", "529"),
    # No response, keep-alive comments or whitespace, half of a reply: until the client disconnects.
    *("hang", "drip", "stall"),
    # The connection is closed in the middle; an error event there; a reply without choices.
    *("cut", "stream_error", "empty_choices"),
)


@dataclass(eq=False)
class Fault(Exception):
    """An error response, of a rule or of the script."""

    status: int
    message: str
    type: str = "invalid_request_error"
    code: str | None = None
    param: str | None = None

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True)
class Reply:
    """One scripted reply; both protocols are served from it."""

    text: str = ""
    tool_calls: Sequence[tuple[str, Any]] = ()  # name and arguments
    refusal: str = ""  # the text of a refusal, instead of `text`
    finish: str = ""  # OpenAI's word ("length", "content_filter"); default: "stop", "tool_calls"
    usage: bool = True  # False: report no token counts
    delay: float = 0.0  # seconds before the first token
    fault: str | Fault = ""  # a name in FAULTS, or any error response
    retry_after: float | None = None  # seconds, as the header `retry-after` of an error
    match: str = ""  # answer only a request that contains this text

    def __post_init__(self) -> None:
        if isinstance(self.fault, str) and self.fault and self.fault not in FAULTS:
            raise ValueError(f"Unknown fault {self.fault!r}. Available: {', '.join(FAULTS)}.")


Item = str | Reply | Callable[[dict[str, Any]], "str | Reply"]
Replies = Sequence[Item] | Callable[[dict[str, Any]], "str | Reply"]


@dataclass
class VendorRequest:
    """One request as the server received it, accepted or refused."""

    path: str
    headers: dict[str, str]  # names in lower case
    body: Any = None  # parsed JSON; None if it was not JSON
    status: int = 0  # 0 until the response starts
    problem: str = ""  # why the request was refused; "" if it was accepted
    disconnected: bool = False  # the client left before the response was complete


@dataclass
class Usage:
    """Tokens of the requests that were answered with a completion."""

    input_tokens: int = 0
    output_tokens: int = 0


@dataclass
class Script:
    """Hands out the replies, each once and in order; a function answers every request."""

    replies: Replies
    _left: list[Item] = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def __post_init__(self) -> None:
        self._left = [] if callable(self.replies) else list(self.replies)

    def take(self, body: dict[str, Any]) -> Reply:
        """The first reply whose `match` the request contains, else the next without one."""
        item = self.replies(body) if callable(self.replies) else self._pop(body)
        if callable(item):
            item = item(body)
        return Reply(item) if isinstance(item, str) else item

    def _pop(self, body: dict[str, Any]) -> Item:
        text = "\n".join(texts([body.get("system"), body["messages"]]))
        with self._lock:
            matches = [getattr(item, "match", "") for item in self._left]
            places = [place for place, match in enumerate(matches) if match and match in text]
            places += [place for place, match in enumerate(matches) if not match]
            if places:
                return self._left.pop(places[0])
        raise Fault(500, f"the script has no reply left for {text[-200:]!r}", "server_error")


def read_replies(path: str | Path) -> list[Item]:
    """Read a table of replies from a JSON-lines file: texts, and objects with a reply's fields."""
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    values = map(json.loads, filter(str.strip, lines))
    return [value if isinstance(value, str) else Reply(**value) for value in values]


def texts(value: Any) -> Iterator[str]:
    """Every string in a JSON value, keys excepted."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from texts(item)


def count_tokens(value: Any) -> int:
    """Tokens of a JSON value: one per four characters of each string, and 765 per image."""
    if isinstance(value, str):
        return -(-len(value) // 4)
    if isinstance(value, list):
        return sum(map(count_tokens, value))
    if not isinstance(value, dict):
        return 0
    if value.get("type") in ("image", "image_url"):
        return IMAGE_TOKENS
    return sum(count_tokens(key) + count_tokens(item) for key, item in value.items())
