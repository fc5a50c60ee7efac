"""The official and the usual clients against the running service with its real model."""

import json
import time
from typing import Literal

import httpx
import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel, Field
from service_fakes import serving

MODEL = "smollm2"
HI = [{"role": "user", "content": "Say hello to the reader in one short sentence."}]
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "unit": {"enum": ["c", "f"]}},
    "required": ["city", "unit"],
    "additionalProperties": False,
}
WEATHER = {"type": "function", "function": {"name": "get_weather", "parameters": CITY}}
ASKED = [{"role": "user", "content": "What is the weather in Paris in celsius?"}]


class Home(BaseModel):
    town: str
    kind: Literal["house", "flat"]
    floor: int = Field(ge=-2, le=80)


@pytest.fixture(scope="session")
def client(service):
    with OpenAI(base_url=f"{service}/v1", api_key="none", max_retries=0, timeout=60) as made:
        yield made


@pytest.fixture
def ask(client):
    def ask(messages=HI, *, model=MODEL, max_tokens=16, temperature=0, **more):
        return client.chat.completions.create(
            model=model, messages=messages, max_tokens=max_tokens, temperature=temperature, **more
        )

    return ask


def test_chat_is_whole_and_counted(ask):
    answer = ask()
    (choice,) = answer.choices
    assert choice.message.role == "assistant" and choice.message.content
    assert choice.finish_reason in ("stop", "length")
    assert answer.usage.completion_tokens <= 16
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.model == MODEL


@pytest.mark.slow
def test_a_stream_says_what_the_whole_answer_says(ask):
    fresh = {"cache-control": "no-store"}
    whole = ask(extra_headers=fresh)
    options = {"include_usage": True}
    *chunks, last = ask(stream=True, stream_options=options, extra_headers=fresh)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == whole.choices[0].message.content
    assert chunks[-1].choices[0].finish_reason == whole.choices[0].finish_reason
    assert last.usage == whole.usage


@pytest.mark.slow
def test_parse_gives_an_object_of_the_class(client):
    answer = client.chat.completions.parse(
        model=MODEL,
        messages=[{"role": "user", "content": "Where does Ada live?"}],
        response_format=Home,
        max_tokens=300,
        temperature=0,
    )
    assert isinstance(answer.choices[0].message.parsed, Home)


@pytest.mark.slow
def test_a_tool_that_must_be_called_is_and_its_result_goes_back(ask):
    chosen = {"type": "function", "function": {"name": "get_weather"}}
    answer = ask(ASKED, tools=[WEATHER], tool_choice=chosen, max_tokens=200).choices[0]
    assert answer.finish_reason == "tool_calls"
    (call,) = answer.message.tool_calls
    arguments = json.loads(call.function.arguments)
    assert call.id and call.function.name == "get_weather"
    assert set(arguments) == {"city", "unit"} and arguments["unit"] in ("c", "f")
    result = {"role": "tool", "tool_call_id": call.id, "content": "18 degrees"}
    after = ask([*ASKED, answer.message, result], tools=[WEATHER], tool_choice="none")
    assert after.choices[0].message.content


def test_text_longer_than_the_embedding_model_reads_is_refused(client):
    fits = client.embeddings.create(model="minilm", input=["word " * 254])
    assert fits.usage.prompt_tokens == 254
    with pytest.raises(
        openai.BadRequestError, match=r"input\.1: 255 tokens .* limit of 254"
    ) as caught:
        client.embeddings.create(model="minilm", input=["short", "word " * 255])
    assert caught.value.code == TOO_LONG


def test_models(client):
    assert [m.id for m in client.models.list()] == [MODEL, "minilm"]
    assert client.models.retrieve(MODEL).owned_by == "local"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nope")


@pytest.mark.slow
def test_responses(client):
    asked = {"model": MODEL, "max_output_tokens": 200, "temperature": 0}
    made = client.responses.create(input="Say hello.", instructions="Be short.", **asked)
    assert made.output_text and made.usage.output_tokens <= 200
    parsed = client.responses.parse(input="Where?", text_format=Home, **asked)
    assert isinstance(parsed.output_parsed, Home)
    tool = {"type": "function", "name": "get_weather", "parameters": CITY, "strict": True}
    asked |= {"tools": [tool]}
    with client.responses.stream(input=ASKED, tool_choice="required", **asked) as stream:
        events = list(stream)
        (call, *_) = stream.get_final_response().output
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert "response.function_call_arguments.done" in {event.type for event in events}
    assert set(json.loads(call.arguments)) == {"city", "unit"}
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "18"}
    called = call.model_dump(exclude={"parsed_arguments"})
    second = client.responses.create(input=[*ASKED, called, result], tool_choice="none", **asked)
    assert second.output_text


TOO_LONG = "context_length_exceeded"
WRONG = [
    ({"logit_bias": {"5": 10}}, "logit_bias", "unsupported_parameter"),
    ({"temperature": 3}, "temperature", "invalid_value"),
    ({"messages": [{"role": "user", "content": "word " * 20_000}]}, None, TOO_LONG),
    ({"model": "minilm"}, "model", "invalid_value"),
]


def test_what_is_wrong_or_not_supported_is_named(ask):
    for fields, param, code in WRONG:
        with pytest.raises(openai.BadRequestError) as caught:
            ask(**fields)
        assert (caught.value.param, caught.value.code) == (param, code)
    with pytest.raises(openai.NotFoundError) as caught:
        ask(model="gpt-4")
    assert (caught.value.param, caught.value.code) == ("model", "model_not_found")


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


@pytest.mark.slow
def test_langchain(service):
    """By the way that the other projects take: a base URL in the settings."""
    pytest.importorskip("langchain_openai")
    from seedbed.models.load import load_chat_model
    from seedbed.settings import Settings

    settings = Settings(base_url=f"{service}/v1", _env_file=None)
    chat = load_chat_model(f"openai:{MODEL}", settings=settings, temperature=0, max_tokens=200)
    assert chat.invoke("Say hello.").usage_metadata["input_tokens"] > 0
    used = [chunk.usage_metadata for chunk in chat.stream("Say hello.", stream_usage=True)]
    assert sum(usage["output_tokens"] for usage in used if usage) > 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["OpenAIChatCompletionsModel", "OpenAIResponsesModel"])
async def test_openai_agent_answers_with_the_tool_result(service, kind):
    agents = pytest.importorskip("agents", reason="uv pip install 'openai-agents'")

    def get_weather(city: str) -> str:  # noqa: ARG001
        """Get the current weather in a city."""
        return "sunny, 22 degrees"

    agents.set_tracing_disabled(True)
    async with AsyncOpenAI(base_url=f"{service}/v1", api_key="none") as client:
        agent = agents.Agent(
            name="assistant",
            instructions="Be helpful.",
            model=getattr(agents, kind)(model=MODEL, openai_client=client),
            tools=[agents.function_tool(get_weather)],
        )
        result = await agents.Runner.run(agent, "What is the weather in Paris?")
    assert "sunny, 22 degrees" in result.final_output.lower()
