"""`/v1/embeddings`: the body and the answer."""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from llm_service.protocol.body import Body, Texts, TokenIds, TokenLists, invalid
from llm_service.request import Ask, Embedded, Kind, several

MAX_INPUTS = 2048


class EmbeddingRequest(Body):
    """OpenAI's request for the vector of each input."""

    kind: ClassVar[Kind] = "embedding"
    input: str | Texts | TokenIds | TokenLists = Field(
        description=f"A string, a list of token ids, or a list of up to {MAX_INPUTS} of either."
    )
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = Field(None, ge=1, le=1_000_000)

    def check(self) -> None:
        entries = several(self.input)
        if not entries or "" in entries or [] in entries:
            raise invalid("input", "must not be empty or contain an empty entry")
        if len(entries) > MAX_INPUTS:
            raise invalid("input", f"has {len(entries)} entries, more than {MAX_INPUTS}")


def collect(embedded: Embedded, ask: Ask, model: str) -> dict[str, Any]:
    """The whole answer; base64 encodes little-endian 32-bit floats."""
    encode = _base64 if ask.body.get("encoding_format") == "base64" else _floats
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": encode(vector)}
            for index, vector in enumerate(embedded.vectors)
        ],
        "model": model,
        "usage": {
            "prompt_tokens": embedded.prompt_tokens,
            "total_tokens": embedded.prompt_tokens,
        },
    }


def _floats(vector: Sequence[float]) -> list[float]:
    return [float(number) for number in vector]


def _base64(vector: Sequence[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
