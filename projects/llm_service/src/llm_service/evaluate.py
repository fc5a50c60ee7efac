"""The evaluation behind `llm-service eval`: sends the requests in `eval/` and checks the answers.

    run("http://127.0.0.1:8004")     without a URL, it starts a service with guardrails

It measures what the gateway promises: output that follows its schema, tool calls that parse, and
guardrails that stop what they should and nothing else; not the quality of the model's answers.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from jsonschema import Draft202012Validator as Validator

from seedbed.errors import Unavailable
from seedbed.files import read_json_lines
from seedbed.runs.evaluation import Figure, Report, log_to_mlflow
from seedbed.testing.launch import free_port, run_server

SET = Path(__file__).parents[2] / "eval"
# The blocked terms are those of the set: what an operator would list.
MODELS = """
[models.evaluated]
backend = "local"
spec = {spec}
timeout = 600
[guardrails]
pii_in = "redact"
injection = "block"
blocked_terms = ["project nightjar", "heron-7 valve", "internal use only"]
"""

Case = dict[str, Any]
Chat = Callable[..., httpx.Response]  # sends a text


def run(url: str | None = None, *, model: str | None = None, key: str | None = None) -> Report:
    """Evaluate the service at `url`, or one that is started for it; logs to MLflow if configured.

    `model` is a model of the service at `url`; without one, the spec of the model to serve.
    """
    with _service(model or "smollm2") if url is None else nullcontext(url) as address:
        report = evaluate(address, model=url and model, key=key)
    log_to_mlflow(report, "llm_service")
    return report


def evaluate(url: str, *, model: str | None = None, key: str | None = None) -> Report:
    """The figures of the service at `url`. Raises Unavailable if it does not answer requests."""
    headers = {"cache-control": "no-store"} | ({"authorization": f"Bearer {key}"} if key else {})
    root = f"{url.rstrip('/').removesuffix('/v1')}/v1"
    try:
        with (
            httpx.Client(base_url=root, headers=headers, timeout=600, trust_env=False) as client,
            ThreadPoolExecutor(8) as pool,
        ):
            model = model or _send(client, "GET", "models").json()["data"][0]["id"]

            def chat(text: str, history: Iterable[Any] = (), **body: Any) -> httpx.Response:
                messages = [*history, {"role": "user", "content": text}]
                body |= {"model": model, "messages": messages, "temperature": 0}
                return _send(client, "POST", "chat/completions", body)

            cases: list[Case] = []
            for kind, judge in KINDS.items():
                cases += pool.map(partial(judge, chat), read(f"{kind}.jsonl"))
    except (httpx.TransportError, httpx.InvalidURL, ValueError, LookupError) as error:
        raise Unavailable(f"Cannot evaluate {root}: {error}.") from None
    # Each boolean of the cases is a figure: the share of the cases with it.
    names = dict.fromkeys(name for case in cases for name in case if isinstance(case[name], bool))
    values = {name: [case[name] for case in cases if name in case] for name in names}
    figures = {name: Figure.share(sum(flags), len(flags)) for name, flags in values.items()}
    return Report("llm-service eval", figures, cases, {"url": url, "model": model})


def schema_case(chat: Chat, row: Case) -> Case:
    """Whether a request with a JSON schema was accepted, and the answer to it valid."""
    schema = {"name": "answer", "strict": True, "schema": row["schema"]}
    form = {"type": "json_schema", "json_schema": schema}
    response = chat(row["prompt"], max_tokens=row.get("max_tokens", 200), response_format=form)
    if response.status_code == 400:
        return _case(row, response, schema_accepted=False)
    error = schema_error(_message(response).get("content") or "", row["schema"])
    return _case(row, response, schema_accepted=True, schema_valid=not error, error=error)


def tool_case(chat: Chat, row: Case) -> Case:
    """Whether the tool calls follow their tools' schemas, and `tool_choice` unless it is auto."""
    defined = {tool["function"]["name"]: tool for tool in read("tool_definitions.jsonl")}
    offered = {name: defined[name] for name in row["tools"]}
    options = {"tools": list(offered.values()), "tool_choice": row["tool_choice"]}
    response = chat(row["prompt"], row.get("history", ()), max_tokens=200, **options)
    calls = [call["function"] for call in _message(response).get("tool_calls") or ()]
    return _case(row, response, calls=calls, **judge_calls(row["tool_choice"], calls, offered))


def judge_calls(
    choice: Any, calls: list[Mapping[str, str]], offered: Mapping[str, Any]
) -> dict[str, bool]:
    """Whether the calls parse and follow `tool_choice`; omits what the request does not test."""

    def is_valid(call: Mapping[str, str]) -> bool:
        tool: Any = offered.get(call["name"])
        return bool(tool) and not schema_error(call["arguments"], tool["function"]["parameters"])

    figures = {"tool_parses": all(map(is_valid, calls))} if calls else {}
    if isinstance(choice, Mapping):
        names = {call["name"] for call in calls}
        figures["tool_choice_followed"] = names == {choice["function"]["name"]}
    elif choice != "auto":
        figures["tool_choice_followed"] = bool(calls) == (choice == "required")
    return figures


def refusal_case(chat: Chat, row: Case) -> Case:
    """Whether a text was stopped: refused with `content_policy`, or redacted (`x-guardrails`)."""
    response = chat(row["text"], max_tokens=4)
    refused = response.status_code == 400 and b"content_policy" in response.content
    stopped = refused or "pii_in" in response.headers.get("x-guardrails", "")
    return _case(row, response, **{f"{row['kind']}_stopped": stopped})


KINDS = {"schemas": schema_case, "tools": tool_case, "refusals": refusal_case}


def schema_error(text: str, schema: Any) -> str:
    """Why `text` is not JSON that is valid against `schema`, with its formats; "" if it is."""
    try:
        value = json.loads(text)
    except ValueError as error:
        return f"not JSON: {error}"
    errors = Validator(schema, format_checker=Validator.FORMAT_CHECKER).iter_errors(value)
    return next((error.message[:200] for error in errors), "")


def read(name: str) -> list[Case]:
    return [row for _, row in read_json_lines(SET / name)]


def _case(row: Case, response: httpx.Response, **judged: Any) -> Case:
    return {"id": row["id"], "failed": response.status_code >= 500, **judged}


def _message(response: httpx.Response) -> dict[str, Any]:
    """The answer's message; empty for an error."""
    ok = response.status_code == 200
    return dict(response.json()["choices"][0]["message"]) if ok else {}


def _send(client: httpx.Client, method: str, path: str, body: Any = None) -> httpx.Response:
    """Send a request; wait while the server is full. Raises Unavailable for a wrong key."""
    while (response := client.request(method, path, json=body)).status_code == 429:
        if "insufficient_quota" in response.text:
            break
        time.sleep(float(response.headers.get("retry-after", 1)))
    if response.status_code in (401, 403, 404, 429):
        text = " ".join(response.text.split())[:300]
        raise Unavailable(f"{response.url} returned {response.status_code}: {text}")
    return response


@contextmanager
def _service(spec: str) -> Iterator[str]:
    """The URL of a service with guardrails on, its data in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        models = Path(folder, "models.toml")
        models.write_text(MODELS.replace("{spec}", json.dumps(spec)), "utf-8")
        port = free_port()
        command = [sys.executable, "-m", "llm_service", "serve", "--port", str(port)]
        env = {"SERVICE_DATA_DIR": folder, "SEEDBED_LOG_LEVEL": "WARNING", "SERVICE_TIMEOUT": "600"}
        with run_server([*command, "--models", str(models)], port, "/readyz", 120.0, env=env):
            yield f"http://127.0.0.1:{port}"
