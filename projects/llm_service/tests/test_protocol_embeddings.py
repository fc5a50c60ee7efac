"""Embeddings, read by OpenAI's own types."""

import base64
import struct
from typing import Any

import pytest
from openai.types import CreateEmbeddingResponse

from llm_service.models.local import unsupported
from llm_service.protocol import embeddings
from llm_service.protocol.body import BadParameter
from llm_service.request import Embedded


def embedding(**fields: Any) -> embeddings.EmbeddingRequest:
    return embeddings.EmbeddingRequest.model_validate({"input": "text", **fields})


@pytest.mark.parametrize("given", [[], "", [""], [[]], ["a"] * 2049, {"a": 1}])
def test_inputs_that_have_no_vector_are_refused(given):
    with pytest.raises(BadParameter) as caught:
        embedding(input=given)
    assert caught.value.param == "input"


def test_embeddings_have_openais_shape_in_both_encodings():
    embedded = Embedded([[0.5, -1.0], [0.1, 0.2]], prompt_tokens=3)
    plain = embeddings.collect(embedded, embedding().ask(), "m")
    answer = CreateEmbeddingResponse.model_validate(plain, strict=True)
    assert answer.data[0].embedding == [0.5, -1.0]
    assert [d.index for d in answer.data] == [0, 1]
    assert answer.usage.total_tokens == 3
    ask = embedding(encoding_format="base64").ask()
    packed = base64.b64decode(embeddings.collect(embedded, ask, "m")["data"][0]["embedding"])
    assert struct.unpack("<2f", packed) == (0.5, -1.0)


def test_dimensions_and_token_ids_are_refused_by_a_local_model():
    def check(**fields):
        ask = embedding(**fields).ask()
        unsupported.check(ask, ask.body)

    check(encoding_format="base64")
    with pytest.raises(BadParameter, match="dimensions") as caught:
        check(dimensions=5)
    assert caught.value.param == "dimensions"
    with pytest.raises(BadParameter, match="token ids are not supported") as caught:
        check(input=[1, 2])
    assert caught.value.param == "input"
