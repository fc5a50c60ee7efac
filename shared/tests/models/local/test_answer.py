"""Answers of a local model that ends its text in any way, without weights."""

from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from pydantic import BaseModel

from seedbed.errors import BadInput, ReplyCutOff
from seedbed.models.structured_reply import structured_reply

CALL = '{"name": "pay", "arguments": {"to": "ann, ltd", "amount": 250}}'


def pay(to: str, amount: int) -> str:
    """Pay an amount to somebody."""
    return f"{to}: {amount}"


class Person(BaseModel):
    name: str
    age: int


def test_stop_sequence_does_not_cut_a_tool_call(model_that_writes: Any) -> None:
    model = model_that_writes(CALL).bind_tools([pay], stop=[","])
    reply = model.invoke("Pay ann 250.")
    assert [call["args"] for call in reply.tool_calls] == [{"to": "ann, ltd", "amount": 250}]
    assert reply.response_metadata["finish_reason"] == "tool_calls"


def test_stop_sequence_ends_a_text_of_a_model_with_tools(model_that_writes: Any) -> None:
    model = model_that_writes("Yes, of course.").bind_tools([pay], stop=[","])
    assert model.invoke("Pay?").text == "Yes"


def test_stop_beside_a_schema_is_refused(model_that_writes: Any) -> None:
    with pytest.raises(BadInput, match="stop: not supported together with response_format"):
        model_that_writes("1").invoke("One?", stop=["."], schema={"type": "integer"})


@pytest.mark.parametrize("stream", [False, True])
def test_structured_reply_at_token_limit_is_cut_off(model_that_writes: Any, stream: bool) -> None:
    text = '{"name": "Al", "age": 30}'
    model = model_that_writes(text, max_tokens=12).with_structured_output(Person)
    with pytest.raises(ReplyCutOff, match="token limit") as caught:
        list(model.stream("Al is 30.")) if stream else model.invoke("Al is 30.")
    assert caught.value.partial == text[:12]
    assert caught.value.usage["output_tokens"] == 12
    whole = model_that_writes(text, max_tokens=len(text))
    assert structured_reply(whole, "Al is 30.", Person) == Person(name="Al", age=30)
    with pytest.raises(BadInput, match="response_format"):
        whole.invoke("Al is 30.", response_format={"type": "xml"})


@pytest.mark.parametrize("choice", ["auto", "pay"])
def test_tool_call_at_the_token_limit_is_cut_off(model_that_writes: Any, choice: str) -> None:
    text = CALL if choice == "auto" else '{"to": "ann", "amount": 250}'
    bound = model_that_writes(text, max_tokens=20).bind_tools([pay], tool_choice=choice)
    with pytest.raises(ReplyCutOff):
        bound.invoke("Pay ann 250.")
    with pytest.raises(BadInput, match=r"tool_choice=.*any.* is not one of the tools"):
        model_that_writes(text).bind_tools([pay], tool_choice={"type": "any"})


def test_service_gets_json_that_parses_and_the_reason_length(model_that_writes: Any) -> None:
    model = model_that_writes('{"name": "Al", "age": 30}', max_tokens=12)
    answer = model.prepare([HumanMessage("Al")], options={"schema": Person.model_json_schema()})
    while generation := answer.next_generation():
        for piece in generation:
            answer.read(piece)
    ending = answer.end()
    assert (answer.text, ending.reason, ending.cut_off) == (
        '{"name": "Al", "age": 0}',
        "length",
        True,
    )


def test_text_that_leaves_the_grammar_is_continued_from_the_cut(model_that_writes: Any) -> None:
    # The engine's grammar does not count characters, ours does.
    schema = {"type": "string", "maxLength": 3}
    assert model_that_writes('"abcdef"').invoke("x", schema=schema).text == '"abc"'


def test_options_of_a_call_win_over_fields(model_that_writes: Any) -> None:
    model = model_that_writes("Hello there.", max_tokens=5)
    assert model.invoke("Hi", max_completion_tokens=7, max_tokens=3).text == "Hello t"
    reply = model.invoke("Hi", max_tokens=None, logprobs=True)
    assert reply.text == "Hello"
    assert reply.response_metadata["finish_reason"] == "length"
    assert len(reply.response_metadata["logprobs"]["content"]) == 5
