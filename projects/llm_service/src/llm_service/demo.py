"""The main features once, in this process: no port is opened, nothing is kept.

Each step sends one request to the HTTP API, prints the result and checks it.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import typer

from llm_service.config import Config
from seedbed.errors import SeedbedError
from seedbed.safety.secrets import reason
from seedbed.settings import Settings

QUESTION: dict[str, Any] = {
    "messages": [{"role": "user", "content": "What is the capital of France?"}],
    "temperature": 0,
    "max_tokens": 30,
}
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"type": "function", "function": {"name": "get_weather", "parameters": CITY}}
FIELDS = {"name": {"type": "string"}, "age": {"type": "integer"}}
PERSON = {"type": "object", "properties": FIELDS, "required": ["name", "age"]}
FORM = {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON}}


def run(config: Config, settings: Settings) -> int:
    """The number of wrong steps. Raises SeedbedError if the service cannot chat at all."""
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
                except (LookupError, TypeError, ValueError) as error:
                    summary, right = f"unexpected answer: {reason(error)}", False
                except SeedbedError as error:
                    if title == "chat":  # every other step would fail with the same error
                        raise
                    summary, right = str(error), False
                failed += not right
                typer.echo(f"{'✓' if right else '✗'} {title}: {summary}")
    return failed


def _post(client: Any, path: str, body: dict[str, Any]) -> Any:
    response = client.post(f"/v1/{path}", json=body)
    if response.status_code != 200:
        raise SeedbedError(response.json()["error"]["message"])
    return response


def _chat(client: Any, content: str, **body: Any) -> Any:
    """The message that answers this one."""
    body |= {"messages": [{"role": "user", "content": content}], "temperature": 0}
    return _post(client, "chat/completions", body).json()["choices"][0]["message"]


def _question(client: Any) -> tuple[str, bool]:
    answer = _post(client, "chat/completions", QUESTION).json()
    text = answer["choices"][0]["message"]["content"]
    return f"{text} ({answer['model']})", "Paris" in text


def _repeated_question(client: Any) -> tuple[str, bool]:
    cached = _post(client, "chat/completions", QUESTION).headers.get("x-cache", "none")
    return f"x-cache: {cached}", cached == "hit"


def _stream(client: Any) -> tuple[str, bool]:
    lines = _post(client, "chat/completions", {**QUESTION, "stream": True}).text.split()
    return f"{lines.count('data:') - 1} chunks", lines.count("data:") > 4 and lines[-1] == "[DONE]"


def _json_schema(client: Any) -> tuple[str, bool]:
    text = _chat(client, "Alice is 30 years old.", response_format=FORM)["content"]
    return text, isinstance(json.loads(text)["age"], int)


def _tool_call(client: Any) -> tuple[str, bool]:
    calls = _chat(client, "What is the weather in Rome?", tools=[WEATHER]).get("tool_calls")
    if not calls:
        return "the model made no tool call", False
    call = calls[0]["function"]
    return f"{call['name']}({call['arguments']})", json.loads(call["arguments"])["city"] == "Rome"


def _embeddings(client: Any) -> tuple[str, bool]:
    answer = _post(client, "embeddings", {"input": ["a cat", "a kitten"]}).json()
    one, other = (row["embedding"] for row in answer["data"])
    cosine = sum(a * b for a, b in zip(one, other, strict=True))
    return f"similarity of 'a cat' and 'a kitten' = {cosine:.2f}", cosine > 0.5


def _metrics(client: Any) -> tuple[str, bool]:
    lines = client.get("/metrics").text.splitlines()
    line = next((line for line in lines if line.startswith("llm_tokens_total")), "")
    return line, bool(line)


STEPS = {
    "chat": _question,
    "streaming": _stream,
    "JSON schema": _json_schema,
    "tool call": _tool_call,
    "embeddings": _embeddings,
    "first question repeated": _repeated_question,
    "metrics": _metrics,
}
