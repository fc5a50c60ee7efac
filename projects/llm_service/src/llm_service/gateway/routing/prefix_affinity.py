"""Remembers which replicas have seen the beginning of a prompt, and may have it in their cache.

A prompt's text is cut into blocks, and each block is identified by the hash of everything up to its
end (as in vLLM's cache). What the replicas really kept may differ.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from llm_service.request import Ask

BLOCK = 256  # characters: some 64 tokens
MOST_BLOCKS = 64
# How much busier than the least busy one a replica may be and still be chosen for its cache.
_SLACK = 4
_SLACK_SHARE = 1.5


class PrefixAffinity:
    """Remembers the last `most` blocks and who saw each; some 200 bytes a block."""

    def __init__(self, most: int = 50_000) -> None:
        self._most = most
        self._seen: OrderedDict[int, tuple[str, ...]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._seen)

    def choose(self, blocks: Sequence[int], busy: Mapping[str, int]) -> str | None:
        """The replica that saw the longest beginning and is not much busier than the least busy.

        `busy` is how many requests each candidate has; None where no candidate saw any of it.
        """
        most = min(busy.values()) * _SLACK_SHARE + _SLACK
        for block in reversed(blocks):
            names = [n for n in self._seen.get(block, ()) if n in busy and busy[n] <= most]
            if names:
                return min(names, key=busy.__getitem__)
        return None

    def saw(self, blocks: Sequence[int], name: str) -> None:
        for block in blocks:
            names = self._seen.pop(block, ())
            self._seen[block] = names if name in names else (*names, name)
        while len(self._seen) > self._most:
            self._seen.popitem(last=False)


def blocks_of(ask: Ask) -> list[int]:
    """The hashes of a request's full blocks, each of all that comes before its end."""
    text = prompt_text(ask.body)
    hashes, last = [], 0
    for start in range(0, len(text) - BLOCK + 1, BLOCK):
        last = hash((last, text[start : start + BLOCK]))
        hashes.append(last)
    return hashes


def prompt_text(body: Mapping[str, Any], most: int = BLOCK * MOST_BLOCKS) -> str:
    """What a model reads first, in the order of a chat template: tools, then the messages."""
    parts, size = [], 0
    if tools := body.get("tools"):
        parts.append(str(tools)[:most])
        size = len(parts[0])
    for message in body.get("messages") or ():
        if size >= most:
            break
        content = message.get("content")
        part = f"\n{message.get('role')}: {content}"
        parts.append(part[:most])
        size += len(parts[-1])
    return "".join(parts)[:most]
