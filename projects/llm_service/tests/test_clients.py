"""The official and the usual clients against the running service with its real model."""

import asyncio
import base64
import json
import struct
import time
from typing import Literal

import httpx
import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel, Field
from service_fakes import needs, serving

from seedbed.testing.launch import closed_port

MODEL = "smollm2"
HI = [{"role": "user", "content": "Say hello to the reader in one short sentence."}]
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "unit": {"enum": ["c", "f"]}},
    "required": ["city", "unit"],
    "additionalProperties": False,
}
WEATHER = {"type": "function", "function": {"name": "get_weather", "parameters": CITY}}
TIME = {
    "type": "function",
    "function": {
        "name": "get_time",
        "parameters": {"type": "object", "properties": {"zone": {"enum": ["utc", "cet"]}}},
    },
}


@pytest.fixture(scope="session")
def client(service):
    with OpenAI(base_url=f"{service}/v1", api_key="none", max_retries=0, timeout=60) as made:
        yield made


@pytest.fixture
async def later(service):
    async with AsyncOpenAI(base_url=f"{service}/v1", api_key="none", max_retries=0) as made:
        yield made


@pytest.fixture
def ask(client):
    def ask(messages=HI, *, model=MODEL, max_tokens=16, temperature=0, **more):
        return client.chat.completions.create(
            model=model, messages=messages, max_tokens=max_tokens, temperature=temperature, **more
        )

    return ask


# ── chat ────────────────────────────────────────────────────────────────────────────────────────


def test_chat_is_whole_and_counted(ask):
    answer = ask(temperature=0)
    (choice,) = answer.choices
    assert choice.message.role == "assistant" and choice.message.content
    assert choice.finish_reason in ("stop", "length")
    assert answer.usage.completion_tokens <= 16
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.model == MODEL


@pytest.mark.slow
def test_a_stream_says_what_the_whole_answer_says(ask):
    whole = ask(temperature=0, extra_headers={"cache-control": "no-store"})
    chunks = list(
        ask(
            temperature=0,
            stream=True,
            stream_options={"include_usage": True},
            extra_headers={"cache-control": "no-store"},
        )
    )
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-1].usage == whole.usage
    assert [c.choices[0].finish_reason for c in chunks[-2:] if c.choices][-1] == (
        whole.choices[0].finish_reason
    )


@pytest.mark.slow
async def test_the_async_client_and_a_stream_left_early(later, service):
    whole = await later.chat.completions.create(
        model=MODEL, messages=HI, max_tokens=8, temperature=0
    )
    assert whole.choices[0].message.content
    stream = await later.chat.completions.create(
        model=MODEL, messages=HI, max_tokens=500, stream=True, extra_body={"ignore_eos": True}
    )
    async for _ in stream:
        break
    await stream.close()
    async with asyncio.timeout(60):
        await later.chat.completions.create(model=MODEL, messages=HI, max_tokens=1)
        async with httpx.AsyncClient(trust_env=False) as plain:
            idle = 'running{model="smollm2"} 0.0'
            # While it runs, it changes the rounding of what is asked beside it.
            while idle not in (await plain.get(f"{service}/metrics")).text:
                await asyncio.sleep(0.02)


# ── structured answers ──────────────────────────────────────────────────────────────────────────


class Person(BaseModel):
    name: str
    kind: Literal["human", "robot"]
    age: int = Field(ge=0, le=150)
    tags: list[Literal["a", "b"]] = Field(max_length=3)
    home: "Home"


class Home(BaseModel):
    town: str
    floor: int = Field(ge=-2, le=80)


@pytest.mark.slow
def test_parse_gives_an_object_of_the_class(client):
    answer = client.chat.completions.parse(
        model=MODEL,
        messages=[{"role": "user", "content": "Describe Ada."}],
        response_format=Person,
        max_tokens=300,
        temperature=0,
    )
    person = answer.choices[0].message.parsed
    assert isinstance(person, Person) and person.kind in ("human", "robot")


@pytest.mark.slow
def test_json_object_and_schema(ask):
    asked = [{"role": "user", "content": "Give me JSON with name and age of Alice, who is 30."}]
    answer = ask(asked, response_format={"type": "json_object"}, max_tokens=200)
    assert isinstance(json.loads(answer.choices[0].message.content), dict)
    schema = {
        "type": "object",
        "properties": {
            "grade": {"enum": ["low", "high"]},
            "points": {
                "type": "array",
                "items": {"type": "integer", "minimum": 1, "maximum": 9},
                "minItems": 2,
                "maxItems": 3,
            },
        },
        "required": ["grade", "points"],
        "additionalProperties": False,
    }
    asked = {"type": "json_schema", "json_schema": {"name": "grades", "schema": schema}}
    for seed in range(3):
        text = ask(response_format=asked, max_tokens=200, temperature=1, seed=seed)
        found = json.loads(text.choices[0].message.content)
        assert found["grade"] in ("low", "high")
        assert 2 <= len(found["points"]) <= 3 and all(1 <= n <= 9 for n in found["points"])


# ── tools ───────────────────────────────────────────────────────────────────────────────────────

WEATHER_CHOICE = {"type": "function", "function": {"name": "get_weather"}}
WEATHER_ASKED = [{"role": "user", "content": "What is the weather in Paris in celsius?"}]


@pytest.mark.slow
def test_a_tool_that_must_be_called_is(ask):
    asked = {"tools": [WEATHER], "tool_choice": WEATHER_CHOICE, "max_tokens": 200}
    answer = ask(WEATHER_ASKED, **asked).choices[0]
    call = answer.message.tool_calls[0]
    arguments = json.loads(call.function.arguments)
    assert call.id and call.function.name == "get_weather"
    assert set(arguments) == {"city", "unit"} and arguments["unit"] in ("c", "f")
    assert answer.finish_reason == "tool_calls"


@pytest.mark.slow
def test_a_call_that_is_cut_off_parses_and_says_so(ask):
    cut = ask(WEATHER_ASKED, tools=[WEATHER], tool_choice="required", max_tokens=5).choices[0]
    assert isinstance(json.loads(cut.message.tool_calls[0].function.arguments), dict)
    assert cut.finish_reason == "length"


@pytest.mark.slow
@pytest.mark.parametrize(
    "more",
    [
        {"response_format": {"type": "json_object"}},
        {"tools": [WEATHER, TIME], "tool_choice": WEATHER_CHOICE},
    ],
)
def test_stop_beside_a_schema_or_a_forced_tool_is_refused(ask, more):
    with pytest.raises(openai.BadRequestError, match="stop: not supported") as caught:
        ask(WEATHER_ASKED, stop=["Paris"], **more)
    assert caught.value.param == "stop"


@pytest.mark.slow
def test_forced_tool_has_the_arguments_of_the_same_schema(ask):
    parameters = Person.model_json_schema()
    tool = {"type": "function", "function": {"name": "Person", "parameters": parameters}}
    asked = {"messages": [{"role": "user", "content": "Chen is 62 years old."}], "max_tokens": 200}
    schema = {"type": "json_schema", "json_schema": {"name": "Person", "schema": parameters}}
    forced = ask(**asked, tools=[tool], tool_choice="required").choices[0].message
    text = ask(**asked, response_format=schema).choices[0].message.content
    assert json.loads(forced.tool_calls[0].function.arguments) == json.loads(text)


@pytest.mark.slow
def test_calls_in_a_stream_come_together(client):
    asked = {
        "tools": [WEATHER, TIME],
        "tool_choice": "required",
        "max_tokens": 200,
        "temperature": 0,
    }
    with client.chat.completions.stream(model=MODEL, messages=WEATHER_ASKED, **asked) as stream:
        kinds = {event.type for event in stream}
        message = stream.get_final_completion().choices[0].message
    assert "tool_calls.function.arguments.done" in kinds
    for call in message.tool_calls:
        assert call.id and isinstance(json.loads(call.function.arguments), dict)
    assert len({call.id for call in message.tool_calls}) == len(message.tool_calls)


@pytest.mark.slow
def test_results_of_parallel_calls_go_back(ask):
    answer = ask(
        WEATHER_ASKED,
        tools=[WEATHER, TIME],
        tool_choice="required",
        parallel_tool_calls=True,
        max_tokens=200,
    )
    message = answer.choices[0].message
    calls = message.tool_calls
    results = [{"role": "tool", "tool_call_id": c.id, "content": "18 degrees"} for c in calls]
    after = ask([*WEATHER_ASKED, message, *results], tools=[WEATHER, TIME], tool_choice="none")
    assert after.choices[0].message.content
    two = [
        {
            "id": f"call_{n}",
            "type": "function",
            "function": {"name": "get_weather", "arguments": '{"city": "X", "unit": "c"}'},
        }
        for n in range(2)
    ]
    told = [{"role": "tool", "tool_call_id": c["id"], "content": "18"} for c in two]
    said = {"role": "assistant", "content": None, "tool_calls": two}
    assert ask([*WEATHER_ASKED, said, *told], tools=[WEATHER]).choices[0].message


# ── embeddings, models ─────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_embeddings_in_both_forms(client):
    texts = ["A cat sits.", "Ships sail."]
    coded = client.embeddings.create(model="minilm", input=texts)  # base64 on the wire
    plain = client.embeddings.create(model="minilm", input=texts, encoding_format="float")
    assert coded.usage.prompt_tokens == plain.usage.prompt_tokens > 0
    for one, other in zip(coded.data, plain.data, strict=True):
        assert one.embedding == pytest.approx(other.embedding)
        assert sum(x * x for x in one.embedding) == pytest.approx(1, abs=1e-3)
    raw = client.post(
        "/embeddings",
        cast_to=object,
        body={"model": "minilm", "input": texts[0], "encoding_format": "base64"},
    )
    vector = struct.unpack(
        f"<{len(plain.data[0].embedding)}f", base64.b64decode(raw["data"][0]["embedding"])
    )
    assert list(vector) == pytest.approx(plain.data[0].embedding, abs=1e-5)


def test_models(client):
    assert [m.id for m in client.models.list()] == [MODEL, "minilm"]
    assert client.models.retrieve(MODEL).owned_by == "local"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nope")


# ── responses ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
@needs("protocol.responses")
def test_responses(client):
    made = client.responses.create(
        model=MODEL,
        input="Say hello.",
        instructions="Be short.",
        max_output_tokens=16,
        temperature=0,
    )
    assert made.output_text and made.usage.output_tokens <= 16
    events = list(
        client.responses.create(
            model=MODEL,
            input="Say hello.",
            instructions="Be short.",
            max_output_tokens=16,
            temperature=0,
            stream=True,
        )
    )
    assert events[-1].type in ("response.completed", "response.incomplete")
    assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == (
        made.output_text
    )
    assert [e.sequence_number for e in events] == list(range(len(events)))
    assert events[-1].response.output_text == made.output_text


@pytest.mark.slow
@needs("protocol.responses")
def test_responses_parse_and_tools(client):
    parsed = client.responses.parse(model=MODEL, input="Where?", text_format=Home, temperature=0)
    assert isinstance(parsed.output_parsed, Home)
    tool = {"type": "function", "name": "get_weather", "parameters": CITY, "strict": True}
    asked = {"model": MODEL, "tools": [tool], "max_output_tokens": 200, "temperature": 0}
    first = client.responses.create(
        input=WEATHER_ASKED, tool_choice={"type": "function", "name": "get_weather"}, **asked
    )
    (call,) = [item for item in first.output if item.type == "function_call"]
    assert set(json.loads(call.arguments)) == {"city", "unit"}
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "18"}
    second = client.responses.create(
        input=[*WEATHER_ASKED, *first.output, result], tool_choice="none", **asked
    )
    assert second.output_text
    with client.responses.stream(input=WEATHER_ASKED, tool_choice="required", **asked) as stream:
        final = [event.type for event in stream]
        assert stream.get_final_response().output[0].type == "function_call"
    assert "response.function_call_arguments.done" in final


# ── errors ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "field",
    [
        {"logit_bias": {"5": 10}},
        {"logprobs": True, "top_logprobs": 5},
        {"service_tier": "flex"},
        {"store": True},
        {"prediction": {"type": "content", "content": "x"}},
        {"modalities": ["audio"]},
        {"web_search_options": {}},
        {"reasoning_effort": "high"},
        {"extra_body": {"guided_regex": "a+"}},
        {"extra_body": {"min_p": 0.5}},
    ],
    ids=lambda field: list(field.get("extra_body", field))[-1],
)
def test_what_is_not_supported_is_named(ask, field):
    name = list(field.get("extra_body", field))[-1]
    with pytest.raises(openai.BadRequestError) as caught:
        ask(**field)
    assert (caught.value.param, caught.value.code) == (name, "unsupported_parameter")
    assert name in caught.value.message


def test_what_is_wrong_is_named(ask):
    for param, more in {
        "temperature": {"temperature": 3},
        "messages": {"messages": []},
        "messages.0.role": {"messages": [{"role": "boss", "content": "x"}]},
        "tool_choice": {"tool_choice": "required"},
        "max_tokens": {"max_tokens": 0},
    }.items():
        with pytest.raises(openai.BadRequestError) as caught:
            ask(**more)
        assert caught.value.param == param and caught.value.code == "invalid_value"
    with pytest.raises(openai.BadRequestError) as caught:
        ask([{"role": "user", "content": "word " * 20_000}])
    assert caught.value.code == "context_length_exceeded"
    assert "truncation" not in caught.value.message
    with pytest.raises(openai.BadRequestError) as caught:
        ask(model="minilm")
    assert caught.value.param == "model"
    with pytest.raises(openai.NotFoundError) as caught:
        ask(model="gpt-4")
    assert (caught.value.param, caught.value.code) == ("model", "model_not_found")
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "never"}}}
    with pytest.raises(openai.BadRequestError) as caught:
        ask(response_format=schema)
    assert caught.value.param == "response_format"


async def test_refusals_are_the_classes_of_the_client(tmp_path, monkeypatch):
    # The middle of a minute, because limits reset with the next one.
    monkeypatch.setattr(time, "time", lambda: 1_700_000_010.0)
    async with serving(tmp_path) as served:
        _, chat_only = served.keys.create("chat", scopes=["chat"], rpm=1)
        _, other = served.keys.create("other", models=["vectors"])
        _, poor = served.keys.create("poor", budget_usd=0.0000001)

        def client(key):
            return AsyncOpenAI(
                base_url="http://localhost/v1",
                api_key=key,
                max_retries=0,
                http_client=httpx.AsyncClient(transport=served.client._transport),
            )

        async def refused(key, kind, model="echo"):
            with pytest.raises(kind) as caught:
                await client(key).chat.completions.create(model=model, messages=HI)
            return caught.value

        assert (await refused("wrong", openai.AuthenticationError)).code == "invalid_api_key"
        assert "'echo'" in (await refused(other, openai.PermissionDeniedError)).message
        with pytest.raises(openai.PermissionDeniedError):
            await client(chat_only).embeddings.create(model="vectors", input="x")
        await client(chat_only).chat.completions.create(model="echo", messages=HI)
        limited = await refused(chat_only, openai.RateLimitError)
        assert limited.code == "rate_limit_exceeded"
        assert int(limited.response.headers["retry-after"]) >= 1
        assert (await refused(poor, openai.RateLimitError)).code == "insufficient_quota"


# ── other clients ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_langchain(service):
    pytest.importorskip("langchain_openai")
    from langchain_openai import ChatOpenAI, OpenAIEmbeddings

    chat = ChatOpenAI(
        model=MODEL, base_url=f"{service}/v1", api_key="none", max_tokens=200, temperature=0
    )
    assert chat.invoke("Say hello.").usage_metadata["input_tokens"] > 0
    chunks = list(chat.stream("Say hello.", stream_usage=True))
    assert sum(c.usage_metadata["output_tokens"] for c in chunks if c.usage_metadata) > 0

    class GetWeather(BaseModel):
        """The weather of a city."""

        city: str

    bound = chat.bind_tools([GetWeather], tool_choice="any")
    (call, *_) = bound.invoke("What is the weather in Paris?").tool_calls
    assert call["name"] == "GetWeather" and isinstance(call["args"]["city"], str)
    for method in ("json_schema", "function_calling"):
        made = chat.with_structured_output(Home, method=method).invoke("Where does Ada live?")
        assert isinstance(made, Home), method

    texts = ["A cat.", "A ship."]
    address = {"base_url": f"{service}/v1", "api_key": "none", "model": "minilm"}
    vectors = OpenAIEmbeddings(check_embedding_ctx_length=False, **address).embed_documents(texts)
    assert len(vectors) == 2 and len(vectors[0]) == 384


def test_text_longer_than_the_embedding_model_reads_is_refused(client):
    fits = client.embeddings.create(model="minilm", input=["word " * 254])
    assert fits.usage.prompt_tokens == 254
    with pytest.raises(
        openai.BadRequestError, match=r"input\.1: 255 tokens .* limit of 254"
    ) as caught:
        client.embeddings.create(model="minilm", input=["short", "word " * 255])
    assert caught.value.code == "context_length_exceeded"


def test_token_ids_for_embeddings_are_refused_clearly(client):
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(model="minilm", input=[[1, 2, 3]])
    assert caught.value.param == "input" and "token ids" in caught.value.message
    assert "check_embedding_ctx_length" in caught.value.message


def test_the_other_projects_reach_it_by_their_base_url(service):
    pytest.importorskip("langchain_openai")
    from seedbed.models.load import load_chat_model
    from seedbed.settings import Settings

    settings = Settings(base_url=f"{service}/v1", _env_file=None)
    model = load_chat_model(f"openai:{MODEL}", settings=settings)
    assert model.invoke("Say hello.", max_tokens=200, temperature=0).content


def test_nobody_there_is_the_clients_own_error():
    with closed_port() as port, pytest.raises(openai.APIConnectionError):
        OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="x", max_retries=0).models.list()
