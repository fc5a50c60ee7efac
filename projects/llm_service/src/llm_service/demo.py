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
            for title, (path, body, check) in STEPS.items():
                try:
                    response = client.post(path, json=body) if body else client.get(path)
                    if response.status_code != 200:
                        raise SeedbedError(response.json()["error"]["message"])
                    summary, right = check(response)
                except (LookupError, TypeError, ValueError) as error:
                    summary, right = f"unexpected answer: {reason(error)}", False
                except SeedbedError as error:
                    if title == "chat":  # every other step would fail with the same error
                        raise
                    summary, right = str(error), False
                failed += not right
                typer.echo(f"{'✓' if right else '✗'} {title}: {summary}")
    return failed


def _ask(content: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content}], "temperature": 0, **more}


def _message(response: Any) -> Any:
    return response.json()["choices"][0]["message"]


def _answer(response: Any) -> tuple[str, bool]:
    text = _message(response)["content"]
    return f"{text} ({response.json()['model']})", "Paris" in text


def _chunks(response: Any) -> tuple[str, bool]:
    words = response.text.split()
    return f"{words.count('data:') - 1} chunks", words.count("data:") > 4 and words[-1] == "[DONE]"


def _person(response: Any) -> tuple[str, bool]:
    text = _message(response)["content"]
    return text, isinstance(json.loads(text)["age"], int)


def _tool_call(response: Any) -> tuple[str, bool]:
    calls = _message(response).get("tool_calls")
    if not calls:
        return "the model made no tool call", False
    call = calls[0]["function"]
    return f"{call['name']}({call['arguments']})", json.loads(call["arguments"])["city"] == "Rome"


def _similarity(response: Any) -> tuple[str, bool]:
    one, other = (row["embedding"] for row in response.json()["data"])
    cosine = sum(a * b for a, b in zip(one, other, strict=True))
    return f"similarity of 'a cat' and 'a kitten' = {cosine:.1f}", cosine > 0.5


def _cached(response: Any) -> tuple[str, bool]:
    cached = response.headers.get("x-cache", "none")
    return f"x-cache: {cached}", cached == "hit"


def _tokens(response: Any) -> tuple[str, bool]:
    lines = [s for s in response.text.splitlines() if s.startswith("llm_tokens_total{")]
    line = max(lines, key=lambda s: float(s.split()[-1]), default="")
    return line, bool(line)


CHAT = "/v1/chat/completions"
QUESTION = _ask("What is the capital of France?", max_tokens=30)
STEPS: dict[str, tuple[str, Any, Any]] = {
    "chat": (CHAT, QUESTION, _answer),
    "streaming": (CHAT, {**QUESTION, "stream": True}, _chunks),
    "JSON schema": (CHAT, _ask("Alice is 30 years old.", response_format=FORM), _person),
    "tool call": (CHAT, _ask("What is the weather in Rome?", tools=[WEATHER]), _tool_call),
    "embeddings": ("/v1/embeddings", {"input": ["a cat", "a kitten"]}, _similarity),
    "first question repeated": (CHAT, QUESTION, _cached),
    "metrics": ("/metrics", None, _tokens),
}
