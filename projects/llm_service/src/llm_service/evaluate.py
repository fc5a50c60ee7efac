"""The evaluation behind `llm-service eval`: sends the requests in `eval/` and checks the answers.

    run()                                  starts a service with guardrails, and evaluates it
    run("http://127.0.0.1:8004")           evaluates a running one

It measures what the gateway promises: output that follows its schema, tool calls that parse, and
guardrails that stop what they should and nothing else. How good the model's answers are is not
measured here. Every share has a 95 % interval.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from seedbed import cli
from seedbed.errors import BadInput, Busy, Forbidden, NotFound, Unauthorized, Unavailable
from seedbed.files import read_json_lines
from seedbed.runs.evaluation import Figure, Report, log_to_mlflow
from seedbed.testing.launch import free_port, run_server

SET = Path(__file__).parents[2] / "eval"
CONCURRENCY = 8
# The terms of the set's blocked requests: what an operator would list.
BLOCKED_TERMS = ("project nightjar", "heron-7 valve", "internal use only")
MODELS = (
    '[models.evaluated]\nbackend = "local"\nspec = {spec}\ntimeout = 600\n\n'
    '[guardrails]\npii_in = "redact"\ninjection = "block"\n'
    f"blocked_terms = {json.dumps(BLOCKED_TERMS)}\n"
)
_ERRORS = {401: Unauthorized, 403: Forbidden, 404: NotFound}

Case = dict[str, Any]


def run(url: str | None = None, *, model: str | None = None, key: str | None = None) -> Report:
    """Evaluate the service at `url`, or one that is started for it; logs to MLflow if configured.

    `model` is a model of the service at `url`; without one, the spec of the model to serve.
    """
    if url is None:
        with _service(model or "smollm2") as started:
            report = asyncio.run(evaluate(started, key=key))
    else:
        report = asyncio.run(evaluate(url, model=model, key=key))
    log_to_mlflow(report, "llm_service")
    return report


def table(report: Report) -> str:
    """The figures for a terminal."""
    rows = []
    for name, figure in report.figures.items():
        interval = None if figure.low is None else f"{figure.low:.3f} to {figure.high:.3f}"
        rows.append((name, f"{figure.value:.3f}", interval, figure.n))
    about = [f"{name}: {value}" for name, value in report.about.items()]
    return "\n".join([*about, cli.table(("", "value", "95 % interval", "n"), rows)])


async def evaluate(url: str, *, model: str | None = None, key: str | None = None) -> Report:
    """The figures of the service at `url`. Raises SeedbedError if it cannot be measured."""
    figures: dict[str, Figure] = {}
    cases: list[Case] = []
    async with _client(url, key) as client:
        chat = Chat(client, model or await _first_model(client))
        about = {"url": url, "model": chat.model}
        for part in (schemas, tools, refusals):
            measured, judged = await part(chat)
            if not measured:
                about[part.__name__] = "not measured: the server has no guardrails"
            figures |= measured
            cases += judged
    figures["failed"] = Figure.share(chat.failed, chat.done)
    return Report("llm-service eval", figures, cases, about)


class Chat:
    """Sends chat requests, at most 8 at a time, and waits while the service is full."""

    def __init__(self, client: httpx.AsyncClient, model: str) -> None:
        self.client = client
        self.model = model
        self.done = 0
        self.failed = 0  # answered with a 5xx
        self._slots = asyncio.Semaphore(CONCURRENCY)

    async def __call__(self, text: str, **body: Any) -> httpx.Response:
        messages = [*body.pop("history", ()), {"role": "user", "content": text}]
        request = {"model": self.model, "messages": messages, "temperature": 0, **body}
        async with self._slots:
            for _ in range(20):
                response = await _send(self.client, "POST", "chat/completions", json=request)
                if response.status_code != 429:
                    break
                wait = response.headers.get("retry-after", "")
                await asyncio.sleep(min(30, int(wait) if wait.isdigit() else 1))
            else:
                raise Busy(
                    f"{self.client.base_url} returned 429 twenty times.", hint="Retry later."
                )
        if response.status_code in _ERRORS:  # every other request would get the same answer
            _raise_for(response)
        self.failed += response.status_code >= 500
        self.done += 1
        return response


async def schemas(chat: Chat) -> tuple[dict[str, Figure], list[Case]]:
    """Of the requests with a JSON schema: the share accepted, and of these, valid."""

    async def one(row: Case) -> Case:
        schema = {"name": "answer", "strict": True, "schema": row["schema"]}
        response = await chat(
            row["prompt"],
            max_tokens=row.get("max_tokens", 200),
            response_format={"type": "json_schema", "json_schema": schema},
        )
        case = {"id": f"schemas/{row['id']}", "accepted": int(response.status_code != 400)}
        if response.status_code != 200:
            return {**case, "valid": 0, "error": error_text(response)}
        text = _message(response).get("content") or ""
        error = schema_error(text, row["schema"])
        return {**case, "valid": int(not error), "error": error, "answer": text}

    cases = await asyncio.gather(*map(one, read("schemas.jsonl")))
    return {
        "schema_accepted": share(case["accepted"] for case in cases),
        "schema_valid": share(case["valid"] for case in cases if case["accepted"]),
    }, list(cases)


async def tools(chat: Chat) -> tuple[dict[str, Figure], list[Case]]:
    """Of the answers with tool calls, those whose arguments follow the tool's schema; of the
    requests with a `tool_choice` other than auto, those that follow it."""
    defined = {row["function"]["name"]: row for row in read("tool_definitions.jsonl")}

    async def one(row: Case) -> Case:
        response = await chat(
            row["prompt"],
            history=row.get("history", ()),
            max_tokens=200,
            tools=[defined[name] for name in row["tools"]],
            tool_choice=row["tool_choice"],
        )
        case: Case = {"id": f"tools/{row['id']}"}
        if response.status_code != 200:
            return case | {"tool_parses": 0, "error": error_text(response)}
        calls = [call["function"] for call in _message(response).get("tool_calls") or ()]
        return case | judge_calls(row, calls, defined) | {"calls": calls}

    cases = await asyncio.gather(*map(one, read("tools.jsonl")))
    names = ("tool_parses", "tool_choice_followed")
    return {name: share(c[name] for c in cases if name in c) for name in names}, list(cases)


async def refusals(chat: Chat) -> tuple[dict[str, Figure], list[Case]]:
    """Of each kind of unwanted request, those stopped; of harmless look-alikes, those stopped too.

    Stopped is: refused with `content_policy`, or, for personal data, redacted (`x-guardrails`).
    Empty if nothing was stopped: the service has no guardrails.
    """

    async def one(row: Case) -> Case:
        response = await chat(row["text"], max_tokens=4)
        decisions = response.headers.get("x-guardrails", "")
        refused = response.status_code == 400 and b"content_policy" in response.content
        stopped = int(refused or "pii_in" in decisions)
        return {"id": f"refusals/{row['id']}", "kind": row["kind"], "stopped": stopped}

    cases = await asyncio.gather(*map(one, read("refusals.jsonl")))
    if not any(case["stopped"] for case in cases):
        return {}, []
    names = {
        "injection_stopped": "injection",
        "blocked_terms_stopped": "blocked",
        "pii_stopped": "pii",
        "false_alarms": "harmless",
    }
    return {
        name: share(case["stopped"] for case in cases if case["kind"] == kind)
        for name, kind in names.items()
    }, list(cases)


def schema_error(text: str, schema: Any) -> str:
    """Why `text` is not JSON that is valid against `schema`, with its formats; "" if it is."""
    import jsonschema

    try:
        value = json.loads(text)
    except ValueError as error:
        return f"not JSON: {error}"
    formats = jsonschema.Draft202012Validator.FORMAT_CHECKER
    validator = jsonschema.Draft202012Validator(schema, format_checker=formats)
    return next((error.message[:200] for error in validator.iter_errors(value)), "")


def judge_calls(
    row: Mapping[str, Any], calls: list[Mapping[str, str]], defined: Mapping[str, Any]
) -> dict[str, int]:
    """What of a request's calls was right, as 0 and 1; only what the request can show."""

    def is_valid(call: Mapping[str, str]) -> bool:
        if call["name"] not in row["tools"]:
            return False
        parameters = defined[call["name"]]["function"]["parameters"]
        return not schema_error(call["arguments"], parameters)

    choice, names = row["tool_choice"], {call["name"] for call in calls}
    figures = {"tool_parses": int(all(map(is_valid, calls)))} if calls else {}
    if choice == "none":
        figures["tool_choice_followed"] = int(not calls)
    elif choice == "required":
        figures["tool_choice_followed"] = int(bool(calls))
    elif choice != "auto":
        figures["tool_choice_followed"] = int(names == {choice["function"]["name"]})
    return figures


def share(values: Iterable[int]) -> Figure:
    listed = list(values)
    return Figure.share(sum(listed), len(listed))


def read(name: str) -> list[Case]:
    return [row for _, row in read_json_lines(SET / name)]


# ── HTTP ────────────────────────────────────────────────────────────────────────────────────────


def _client(url: str, key: str | None) -> httpx.AsyncClient:
    """A client of the API at `url`, with or without `/v1`, that gets no answer from a cache."""
    try:
        address = httpx.URL(url if "://" in url else f"http://{url}")
    except httpx.InvalidURL as error:
        raise BadInput(f"Invalid URL {url!r}: {error}.") from None
    if address.scheme not in ("http", "https") or not address.host:
        raise BadInput(f"Invalid URL {url!r}.", hint="Example: http://127.0.0.1:8004/v1")
    headers = {"cache-control": "no-store"} | ({"authorization": f"Bearer {key}"} if key else {})
    root = address.copy_with(path=address.path.rstrip("/") or "/v1")
    return httpx.AsyncClient(base_url=root, headers=headers, timeout=600, trust_env=False)


async def _send(client: httpx.AsyncClient, method: str, path: str, **body: Any) -> httpx.Response:
    try:
        return await client.request(method, path, **body)
    except httpx.TransportError as error:
        raise Unavailable(
            f"Cannot connect to {client.base_url}: {error or type(error).__name__}.",
            hint="Check that the server is running.",
        ) from None


async def _first_model(client: httpx.AsyncClient) -> str:
    response = await _send(client, "GET", "models")
    if response.status_code != 200:
        _raise_for(response)
    try:
        return str(response.json()["data"][0]["id"])
    except (ValueError, LookupError, TypeError):
        raise BadInput(
            f"{client.base_url} lists no models.",
            hint="Use the base URL of an OpenAI-compatible server, including /v1.",
        ) from None


def _raise_for(response: httpx.Response) -> None:
    kind: Callable[[str], Exception] = _ERRORS.get(response.status_code, Unavailable)
    raise kind(f"{response.url} returned {response.status_code}: {error_text(response)}")


def error_text(response: httpx.Response) -> str:
    try:
        text = str(response.json()["error"]["message"])
    except (ValueError, LookupError, TypeError):
        text = response.text
    return " ".join(text.split())[:300]


def _message(response: httpx.Response) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(response.content)["choices"][0]["message"]
    return message


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
