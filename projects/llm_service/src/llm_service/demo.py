"""The service asked as clients ask it, once, in this process: no port is opened, nothing is kept.

Each step prints what came, and is checked; it knows the HTTP API only.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import typer

from llm_service.config import Config
from seedbed.errors import SeedbedError
from seedbed.safety.secrets import reason
from seedbed.settings import Settings

QUESTION = "What is the capital of France?"
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather forecast of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


def run(config: Config, settings: Settings) -> int:
    """How many steps went wrong. Raises SeedbedError if the service cannot chat at all."""
    with tempfile.TemporaryDirectory() as folder:
        own = config.model_copy(update={"data_dir": Path(folder), "database_url": None})
        quiet = settings.model_copy(update={"log_level": "ERROR"})
        return asyncio.run(_ask(own, quiet))


@asynccontextmanager
async def client_of(config: Config, settings: Settings) -> AsyncIterator[Any]:
    """An HTTP client of the service, which runs in this process while the block does."""
    import httpx

    from llm_service.web.app import create

    app = create(config, settings)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://localhost", timeout=120
        ) as client,
    ):
        yield client


async def _ask(config: Config, settings: Settings) -> int:
    """Run and print the steps. Raises what the service answers if it cannot chat at all."""
    failed = 0
    async with client_of(config, settings) as client:
        for number, (title, step) in enumerate(STEPS.items()):
            try:
                shown, right = await step(client)
            except SeedbedError as error:
                if number == 0:  # a service that cannot chat would repeat this at every step
                    raise
                shown, right = str(error), False
            except (LookupError, TypeError, ValueError) as error:
                shown, right = f"unexpected answer: {reason(error)}", False
            failed += not right
            typer.echo(f"{'✓' if right else '✗'} {title}: {shown}")
    return failed


async def _chat(client: Any, content: str, **body: Any) -> Any:
    """The response to one message."""
    body = {"messages": [{"role": "user", "content": content}], "temperature": 0, **body}
    return _checked(await client.post("/v1/chat/completions", json=body))


def _checked(response: Any) -> Any:
    if response.status_code != 200:
        raise SeedbedError(response.json()["error"]["message"])
    return response


Outcome = tuple[str, bool]
"""What a step shows, and whether it is right."""


async def _question(client: Any) -> Outcome:
    answer = (await _chat(client, QUESTION, max_tokens=30)).json()
    text = answer["choices"][0]["message"]["content"]
    return f"{text} ({answer['model']})", "Paris" in text


async def _streaming(client: Any) -> Outcome:
    body = {"messages": [{"role": "user", "content": "Count from 1 to 5."}], "max_tokens": 30}
    chunks, last = 0, ""
    async with client.stream(
        "POST", "/v1/chat/completions", json={**body, "stream": True}
    ) as stream:
        async for line in stream.aiter_lines():
            chunks += line.startswith("data: {")
            last = line or last
    return f"{chunks} chunks", chunks > 5 and last == "data: [DONE]"


async def _json_schema(client: Any) -> Outcome:
    schema = {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON}}
    answer = await _chat(client, "Alice is 30 years old.", response_format=schema)
    person = json.loads(answer.json()["choices"][0]["message"]["content"])
    return json.dumps(person), isinstance(person["name"], str) and isinstance(person["age"], int)


async def _tool_call(client: Any) -> Outcome:
    answer = await _chat(client, "What is the weather in Rome?", tools=[WEATHER])
    calls = answer.json()["choices"][0]["message"].get("tool_calls")
    if not calls:
        return "the model made no tool call", False
    call = calls[0]["function"]
    right = call["name"] == "get_weather" and json.loads(call["arguments"])["city"] == "Rome"
    return f"{call['name']}({call['arguments']})", right


async def _embeddings(client: Any) -> Outcome:
    answer = await client.post("/v1/embeddings", json={"input": ["a cat", "a kitten"]})
    one, other = (row["embedding"] for row in _checked(answer).json()["data"])
    cosine = sum(a * b for a, b in zip(one, other, strict=True))
    return f"similarity of 'a cat' and 'a kitten' = {cosine:.2f}", cosine > 0.5


async def _repetition(client: Any) -> Outcome:
    cached = (await _chat(client, QUESTION, max_tokens=30)).headers.get("x-cache", "none")
    return f"x-cache: {cached}", cached == "hit"


async def _unsupported(client: Any) -> Outcome:
    try:
        await _chat(client, "Hi", logit_bias={"1": 5})
    except SeedbedError as error:
        return str(error), True
    return "no error", False


async def _metrics(client: Any) -> Outcome:
    metrics = (await client.get("/metrics")).text
    line = next((x for x in metrics.splitlines() if x.startswith("llm_tokens_total")), "")
    return line, bool(line)


STEPS: dict[str, Callable[[Any], Awaitable[Outcome]]] = {
    "chat": _question,
    "streaming": _streaming,
    "JSON schema": _json_schema,
    "tool call": _tool_call,
    "embeddings": _embeddings,
    "first question repeated": _repetition,
    "unsupported parameter": _unsupported,
    "metrics": _metrics,
}
