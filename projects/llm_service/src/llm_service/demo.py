"""The service asked as clients ask it, once, in this process: no port is opened, nothing is kept.

Each step prints its result and checks it. Only the HTTP API is used.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
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
    from fastapi.testclient import TestClient

    from llm_service.web.app import create

    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        own = config.model_copy(update={"data_dir": Path(folder), "database_url": None})
        app = create(own, settings.model_copy(update={"log_level": "ERROR"}))
        with TestClient(app, base_url="http://localhost") as client:
            for title, step in STEPS.items():
                try:
                    summary, right = step(client)
                except SeedbedError as error:
                    if step is _question:  # every other step would fail with the same error
                        raise
                    summary, right = str(error), False
                except (LookupError, TypeError, ValueError) as error:
                    summary, right = f"unexpected answer: {reason(error)}", False
                failed += not right
                typer.echo(f"{'✓' if right else '✗'} {title}: {summary}")
    return failed


def _chat(client: Any, content: str, **body: Any) -> Any:
    """The response to one message."""
    body = {"messages": [{"role": "user", "content": content}], "temperature": 0, **body}
    return _checked(client.post("/v1/chat/completions", json=body))


def _checked(response: Any) -> Any:
    if response.status_code != 200:
        raise SeedbedError(response.json()["error"]["message"])
    return response


Outcome = tuple[str, bool]
"""What a step shows, and whether it is right."""


def _question(client: Any) -> Outcome:
    answer = _chat(client, QUESTION, max_tokens=30).json()
    text = answer["choices"][0]["message"]["content"]
    return f"{text} ({answer['model']})", "Paris" in text


def _streaming(client: Any) -> Outcome:
    lines = _chat(client, "Count from 1 to 5.", max_tokens=30, stream=True).text.split()
    return f"{lines.count('data:') - 1} chunks", lines.count("data:") > 4 and lines[-1] == "[DONE]"


def _json_schema(client: Any) -> Outcome:
    schema = {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON}}
    answer = _chat(client, "Alice is 30 years old.", response_format=schema)
    person = json.loads(answer.json()["choices"][0]["message"]["content"])
    return json.dumps(person), isinstance(person["name"], str) and isinstance(person["age"], int)


def _tool_call(client: Any) -> Outcome:
    answer = _chat(client, "What is the weather in Rome?", tools=[WEATHER])
    calls = answer.json()["choices"][0]["message"].get("tool_calls")
    if not calls:
        return "the model made no tool call", False
    call = calls[0]["function"]
    right = call["name"] == "get_weather" and json.loads(call["arguments"])["city"] == "Rome"
    return f"{call['name']}({call['arguments']})", right


def _embeddings(client: Any) -> Outcome:
    answer = client.post("/v1/embeddings", json={"input": ["a cat", "a kitten"]})
    one, other = (row["embedding"] for row in _checked(answer).json()["data"])
    cosine = sum(a * b for a, b in zip(one, other, strict=True))
    return f"similarity of 'a cat' and 'a kitten' = {cosine:.2f}", cosine > 0.5


def _repetition(client: Any) -> Outcome:
    cached = _chat(client, QUESTION, max_tokens=30).headers.get("x-cache", "none")
    return f"x-cache: {cached}", cached == "hit"


def _unsupported(client: Any) -> Outcome:
    try:
        _chat(client, "Hi", logit_bias={"1": 5})
    except SeedbedError as error:
        return str(error), True
    return "no error", False


def _metrics(client: Any) -> Outcome:
    metrics = client.get("/metrics").text
    line = next((x for x in metrics.splitlines() if x.startswith("llm_tokens_total")), "")
    return line, bool(line)


STEPS: dict[str, Callable[[Any], Outcome]] = {
    "chat": _question,
    "streaming": _streaming,
    "JSON schema": _json_schema,
    "tool call": _tool_call,
    "embeddings": _embeddings,
    "first question repeated": _repetition,
    "unsupported parameter": _unsupported,
    "metrics": _metrics,
}
