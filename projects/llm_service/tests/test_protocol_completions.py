"""Completions, embeddings and the models' list, read by OpenAI's own types."""

import base64
import json
import struct
from collections.abc import AsyncIterator
from typing import Any

import pytest
from openai.types import Completion, CreateEmbeddingResponse, Model

from llm_service.protocol import chat, completions, embeddings
from llm_service.protocol.body import BadParameter, models_list, refuse_unsupported
from llm_service.request import Ask, Delta, Embedded, Event, Finish, Usage


def request(**fields: Any) -> completions.CompletionRequest:
    return completions.CompletionRequest.model_validate({"prompt": "Once", **fields})


def embedding(**fields: Any) -> embeddings.EmbeddingRequest:
    return embeddings.EmbeddingRequest.model_validate({"input": "text", **fields})


async def source(*events: Event) -> AsyncIterator[Event]:
    for event in events:
        yield event


async def sent(*events: Event, usage: bool = False) -> list[dict[str, Any]]:
    parts = completions.stream(source(*events), "cmpl-1", 7, "m", include_usage=usage)
    text = b"".join([part async for part in parts]).decode()
    *found, last = text.removesuffix("\n\n").split("\n\n")
    assert last == "data: [DONE]"
    return [json.loads(event.removeprefix("data: ")) for event in found]


@pytest.mark.parametrize(
    ("prompt", "found"),
    [
        ("a", ["a"]),
        (["a", "b"], ["a", "b"]),
        ([1, 2], [[1, 2]]),
        ([[1], [2, 3]], [[1], [2, 3]]),
    ],
)
def test_prompts_come_in_four_forms(prompt, found):
    ask = request(prompt=prompt, n=2).ask()
    assert ask == Ask("text", "", {"prompt": prompt, "n": 2})
    assert completions.prompts(ask.body) == found
    assert embeddings.inputs(embedding(input=prompt).ask().body) == found


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [[]]}, "prompt"),
        ({"prompt": {"a": 1}}, "prompt"),
        ({"prompt": [-1]}, "prompt.0"),
        ({"prompt": ["a"] * 9, "n": 16}, "prompt"),
        ({"prompt": "\0"}, "prompt"),
        ({"logprobs": 6}, "logprobs"),
        ({"logprobs": True}, "logprobs"),
        ({"best_of": 1, "n": 2}, "best_of"),
        ({"Messages": []}, "Messages"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(fields, param):
    with pytest.raises(BadParameter) as caught:
        request(**fields)
    assert caught.value.param == param


def test_what_a_local_model_cannot_do_is_named():
    body = request(suffix="x", best_of=3, logprobs=2, echo=True, logit_bias={"1": 2}).ask().body
    assert set(chat.unsupported(body, "text")) == {
        *("suffix", "best_of", "logprobs", "echo (with logprobs)", "logit_bias"),
    }
    ids = request(prompt=[[1]], echo=True).ask().body
    assert chat.unsupported(ids, "text") == ["echo (of token ids)"]
    plain = request(echo=True, best_of=1, n=1, seed=3, ignore_eos=True, min_tokens=1).ask().body
    assert chat.unsupported(plain, "text") == []


def test_an_echo_begins_every_choice_of_its_prompt():
    body = request(prompt=["a", "b"], n=2, echo=True).ask().body
    found = [(delta.text, delta.index, delta.tokens) for delta in completions.echoed(body)]
    assert found == [("a", 0, 0), ("a", 1, 0), ("b", 2, 0), ("b", 3, 0)]
    assert list(completions.echoed(request(prompt="a").ask().body)) == []


async def test_a_whole_answer_has_openais_shape():
    logprobs = [{"token": "ab", "logprob": -1.0}, {"token": "c", "logprob": -2.0}]
    events = source(
        Delta("x", index=1),
        Delta("abc", tokens=2, logprobs=logprobs),
        Finish("stop", index=1),
        Finish("length"),
        Usage(4, 3, 1),
    )
    body = await completions.collect(events, "cmpl-1", 7, "m")
    answer = Completion.model_validate(body, strict=True)
    first, second = answer.choices
    assert (first.text, first.finish_reason, second.text) == ("abc", "length", "x")
    assert first.logprobs.text_offset == [0, 2]
    assert first.logprobs.token_logprobs == [-1.0, -2.0]
    assert answer.usage.prompt_tokens_details.cached_tokens == 1


async def test_a_stream_has_openais_chunks():
    logprob = {"token": "b", "logprob": -1.0, "top_logprobs": [{"token": "b", "logprob": -1.0}]}
    found = await sent(
        Delta("a\n"),
        Delta(""),
        Delta("b", logprobs=[logprob]),
        Delta("b", logprobs=[logprob], index=3),
        Finish("stop"),
        Finish("stop", index=3),
        Usage(1, 3),
        usage=True,
    )
    *chunks, last = found
    assert [c["choices"][0]["text"] for c in chunks] == ["a\n", "b", "b", "", ""]
    assert chunks[1]["choices"][0]["logprobs"]["top_logprobs"] == [{"b": -1.0}]
    assert [c["choices"][0]["index"] for c in chunks] == [0, 0, 3, 0, 3]
    assert last["choices"] == [] and last["usage"]["total_tokens"] == 4
    for chunk in chunks:  # the type of a stream is that of an answer, where a reason is required
        for choice in chunk["choices"]:
            choice["finish_reason"] = choice["finish_reason"] or "stop"
        Completion.model_validate(chunk, strict=True)


async def test_offsets_go_on_over_a_stream():
    logprob = {"token": "ab", "logprob": -1.0}
    chunks = await sent(
        Delta("ab", logprobs=[logprob]), Delta("ab", logprobs=[logprob]), Finish("stop")
    )
    offsets = [c["choices"][0]["logprobs"]["text_offset"] for c in chunks[:2]]
    assert offsets == [[0], [2]]


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


def test_dimensions_and_token_ids_are_beyond_a_local_model():
    body = embedding(dimensions=5, input=[1, 2]).ask().body
    names = chat.unsupported(body, "embedding")
    assert names == ["dimensions", "input (token ids)"]
    with pytest.raises(BadParameter) as caught:
        refuse_unsupported(names[1:])
    assert caught.value.param == "input"
    assert chat.unsupported(embedding(encoding_format="base64").ask().body, "embedding") == []


def test_the_fields_of_the_official_client_are_known():
    from openai.types.completion_create_params import CompletionCreateParamsBase
    from openai.types.embedding_create_params import EmbeddingCreateParams

    assert set(CompletionCreateParamsBase.__annotations__) <= set(
        completions.CompletionRequest.model_fields
    )
    assert set(EmbeddingCreateParams.__annotations__) <= set(
        embeddings.EmbeddingRequest.model_fields
    )


def test_models_are_listed_as_openai_lists_them():
    body = models_list([("m", "seedbed")], 7)
    assert body["object"] == "list"
    assert Model.model_validate(body["data"][0], strict=True).owned_by == "seedbed"
