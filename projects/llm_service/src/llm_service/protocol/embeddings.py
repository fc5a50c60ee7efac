"""`/v1/embeddings`: the body and the answer. It knows no model."""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from llm_service.protocol.body import Body, Texts, TokenIds, TokenLists, asked_beyond, invalid
from llm_service.request import Ask, Embedded, Kind, several

MAX_INPUTS = 2048
_LOCAL = frozenset(("input", "encoding_format", "user"))


class EmbeddingRequest(Body):
    """OpenAI's request for the vector of each input."""

    kind: ClassVar[Kind] = "embedding"
    input: str | Texts | TokenIds | TokenLists = Field(
        description=f"A string, a list of token ids, or a list of up to {MAX_INPUTS} of either."
    )
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = Field(None, ge=1, le=1_000_000)

    def check(self) -> None:
        found = inputs({"input": self.input})
        if not found or "" in found or [] in found:
            raise invalid("input", "must not be empty or contain an empty entry")
        if len(found) > MAX_INPUTS:
            raise invalid("input", f"has {len(found)} entries, more than {MAX_INPUTS}")


def inputs(body: Mapping[str, Any]) -> list[str | list[int]]:
    """The inputs of an Ask's body, each a text or its token ids."""
    return several(body["input"])


def unsupported(body: Mapping[str, Any]) -> list[str]:
    """The fields of an Ask's `body` that no local model can do.

    Token ids are among them: clients send those of another model's vocabulary.
    """
    found = asked_beyond(body, _LOCAL)
    if any(not isinstance(text, str) for text in inputs(body)):
        found.append("input (token ids)")
    return found


def refuse_token_ids(body: Mapping[str, Any]) -> None:
    """Raise BadParameter for token ids, with the setting that makes a client send text."""
    if any(not isinstance(text, str) for text in inputs(body)):
        raise invalid(
            "input",
            "token ids are not supported, because they depend on the vocabulary of one model",
            "Send strings (LangChain's OpenAIEmbeddings: check_embedding_ctx_length=False).",
        )


def collect(embedded: Embedded, ask: Ask, model: str) -> dict[str, Any]:
    """The whole answer; base64 holds little-endian 32-bit floats."""
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
