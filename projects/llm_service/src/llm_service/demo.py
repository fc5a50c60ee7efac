"""The service asked as clients ask it, once, in this process: no port is opened, nothing is kept.

Each step prints what came, and is checked; it knows the HTTP API only.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import typer

from llm_service.config import Config
from seedbed.settings import Settings

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
    """How many steps went wrong."""
    with tempfile.TemporaryDirectory() as folder:
        own = config.model_copy(update={"data_dir": Path(folder), "database_url": None})
        quiet = settings.model_copy(update={"log_level": "WARNING"})
        return asyncio.run(_ask(own, quiet))


@asynccontextmanager
async def client_of(config: Config, settings: Settings) -> AsyncIterator[Any]:
    """An HTTP client of the service, which runs in this process while the block does."""
    import httpx

    from llm_service.start import create

    app = create(config, settings)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://localhost", timeout=120
        ) as client,
    ):
        yield client


class Steps:
    """Asks, prints and counts what was wrong."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.failed = 0

    def check(self, title: str, shown: str, right: bool) -> None:
        self.failed += not right
        typer.echo(f"{'ok    ' if right else 'FAILED'} {title}: {shown}")

    async def chat(self, content: str, **body: Any) -> Any:
        body = {"messages": [{"role": "user", "content": content}], "temperature": 0, **body}
        return await self.client.post("/v1/chat/completions", json=body)


async def _ask(config: Config, settings: Settings) -> int:
    async with client_of(config, settings) as client:
        steps = Steps(client)
        await _answers(steps)
        await _promises(steps)
        await _operates(steps)
        return steps.failed


async def _answers(steps: Steps) -> None:
    answer = (await steps.chat("What is the capital of France?", max_tokens=30)).json()
    text = answer["choices"][0]["message"]["content"]
    steps.check(f"chat ({answer['model']})", text, "Paris" in text)

    body = {"messages": [{"role": "user", "content": "Count from 1 to 5."}], "max_tokens": 30}
    chunks, last = 0, ""
    async with steps.client.stream(
        "POST", "/v1/chat/completions", json={**body, "stream": True}
    ) as stream:
        async for line in stream.aiter_lines():
            chunks += line.startswith("data: {")
            last = line or last
    steps.check("streaming", f"{chunks} chunks", chunks > 5 and last == "data: [DONE]")


async def _promises(steps: Steps) -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON}}
    answer = await steps.chat("Alice is 30 years old.", response_format=schema)
    person = json.loads(answer.json()["choices"][0]["message"]["content"])
    valid = isinstance(person["name"], str) and isinstance(person["age"], int)
    steps.check("JSON schema", json.dumps(person), valid)

    answer = await steps.chat("What is the weather in Rome?", tools=[WEATHER])
    call = answer.json()["choices"][0]["message"]["tool_calls"][0]["function"]
    right = call["name"] == "get_weather" and json.loads(call["arguments"])["city"] == "Rome"
    steps.check("tool call", f"{call['name']}({call['arguments']})", right)

    answer = await steps.client.post("/v1/embeddings", json={"input": ["a cat", "a kitten"]})
    one, other = (row["embedding"] for row in answer.json()["data"])
    cosine = sum(a * b for a, b in zip(one, other, strict=True))
    steps.check("embeddings", f"similarity of 'a cat' and 'a kitten' = {cosine:.2f}", cosine > 0.5)


async def _operates(steps: Steps) -> None:
    again = await steps.chat("What is the capital of France?", max_tokens=30)
    cached = again.headers["x-cache"]
    steps.check("first question repeated", f"x-cache: {cached}", cached == "hit")

    wrong = await steps.chat("Hi", logit_bias={"1": 5})
    error = wrong.json()["error"]
    steps.check("unsupported parameter", error["message"], wrong.status_code == 400)

    counted = (await steps.client.get("/metrics")).text
    line = next((x for x in counted.splitlines() if x.startswith("llm_tokens_total")), "")
    steps.check("metrics", line, bool(line))
