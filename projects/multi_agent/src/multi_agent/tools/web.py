"""Web search through a SearXNG server with its JSON format enabled.

search_web("http://127.0.0.1:8080", "tallest building")    # [{"title": …, "url": …, "text": …}]
"""

from __future__ import annotations

import json
from typing import Any

from seedbed.errors import BadInput, Unavailable

SECONDS = 10.0
MAX_BYTES = 2_000_000
MAX_RESULTS = 8
MAX_TEXT = 500
"""Characters of a result's text."""


def search_web(url: str, query: str) -> list[dict[str, str]]:
    """The first results for a query: title, url, text. Raises Unavailable and BadInput."""
    import httpx

    if not query.strip():
        raise BadInput("The search query is empty.")
    address, body = f"{url.rstrip('/')}/search", b""
    parameters = {"q": query[:400], "format": "json"}
    try:
        with httpx.stream("GET", address, params=parameters, timeout=SECONDS) as response:
            if response.status_code == 403:
                raise Unavailable(f"{url} refuses JSON.", hint="Add json to search.formats there.")
            response.raise_for_status()
            for part in response.iter_bytes():
                body += part
                if len(body) > MAX_BYTES:
                    raise Unavailable(f"{url} sent more than {MAX_BYTES:,} bytes.")
        results = json.loads(body)["results"]
        return [_result(entry) for entry in results[:MAX_RESULTS]]
    except httpx.HTTPError as error:
        raise Unavailable(f"The web search at {url} failed: {error}.") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Unavailable(f"{url} did not send search results in SearXNG's JSON.") from None


def _result(entry: dict[str, Any]) -> dict[str, str]:
    text = str(entry.get("content") or "")[:MAX_TEXT]
    return {"title": str(entry.get("title") or ""), "url": str(entry["url"]), "text": text}
