"""Completions, read by OpenAI's own types."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from openai.types import Completion

from llm_service.protocol.body import BadParameter
from llm_service.protocol.completions import completions
from llm_service.request import Ask, Delta, Event, Finish, Usage, several


def request(**fields: Any) -> completions.CompletionRequest:
    return completions.CompletionRequest.model_validate({"prompt": "Once", **fields})


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
    assert several(ask.body["prompt"]) == found


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
    assert set(completions.unsupported(body)) == {
        *("suffix", "best_of", "logprobs", "echo (with logprobs)", "logit_bias"),
    }
    ids = request(prompt=[[1]], echo=True).ask().body
    assert completions.unsupported(ids) == ["echo (of token ids)"]
    plain = request(echo=True, best_of=1, n=1, seed=3, ignore_eos=True, min_tokens=1).ask().body
    assert completions.unsupported(plain) == []


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


def test_completion_request_has_the_fields_of_the_official_client():
    from openai.types.completion_create_params import CompletionCreateParamsBase

    fields = completions.CompletionRequest.model_fields
    assert set(CompletionCreateParamsBase.__annotations__) <= set(fields)
