"""Servers as processes of their own that work together: `make stack`, `make trace`.

    python -m tools.stack                        # until Ctrl-C
    SEEDBED_MODEL=openai:gpt-4o-mini python -m tools.stack "What does LoRA train?"

multi_agent asks the model that llm_service serves, and searches the handbook that rag_chatbot has,
over MCP; the default model is too small to plan that. Their spans go to MLflow, where a question
is one trace, which a question on the command line prints. Everything stays on this machine; the
files are in `var/stack`.
"""

from __future__ import annotations

import json
import shlex
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from seedbed.testing.launch import free_port, run_server

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
FOLDER = ROOT / "var/stack"
SECONDS = 300.0
"""The longest start of a server, and the longest run."""
BUDGET = f"steps=20,tool_calls=40,tokens=100000,seconds={SECONDS:g}"


@dataclass(frozen=True)
class Stack:
    """The addresses of the servers."""

    mlflow: str
    service: str
    rag: str
    agents: str


@contextmanager
def open_stack(
    folder: Path = FOLDER, documents: Path = ROOT / "docs", **env: str
) -> Iterator[Stack]:
    """Start the servers, with more variables for their environment, and stop them at the end.

    with open_stack(SEEDBED_MODEL="smollm2") as stack:
        solve(stack, "What does LoRA train?")["answer"]
    """
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as servers:

        def start(command: str, path: str, **settings: str) -> str:
            port = free_port()
            program, *arguments = shlex.split(f"{command} --port {port}")
            argv = [str(BIN / program), *arguments]
            servers.enter_context(run_server(argv, port, path, SECONDS, env=env | settings))
            return f"http://127.0.0.1:{port}"

        # 1. MLflow, which keeps the spans of the others.
        database = shlex.quote(f"sqlite:///{folder}/mlflow.db")
        mlflow = start(
            f"mlflow server --workers 1 --backend-store-uri {database}",
            "/health",
            MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",  # five processes more
        )
        # Its first request creates the tables, which takes longer than an exporter waits.
        everything = {"max_results": 1}
        httpx.post(
            f"{mlflow}/api/2.0/mlflow/experiments/search", json=everything, timeout=SECONDS
        ).raise_for_status()
        env |= {"MLFLOW_TRACKING_URI": mlflow, "OTEL_EXPORTER_OTLP_TIMEOUT": "30"}
        # 2. The model.
        service = start("llm-service serve", "/readyz", SERVICE_DATA_DIR=f"{folder}/service")
        model = httpx.get(f"{service}/v1/models").raise_for_status().json()["data"][0]["id"]
        # 3. The documents.
        rag = start(
            f"rag-chatbot serve {shlex.quote(str(documents))}",
            "/readyz",
            RAG_DATA_DIR=f"{folder}/rag",
        )
        # 4. The team.
        agents = start(
            "multi-agent serve",
            "/readyz",
            AGENTS_DATA_DIR=f"{folder}/agents",
            AGENTS_MCP_SERVERS=json.dumps({"handbook": f"{rag}/v1/mcp"}),
            AGENTS_BUDGET=BUDGET,
            SEEDBED_MODEL=f"openai:{model}",
            SEEDBED_BASE_URL=f"{service}/v1",
        )
        yield Stack(mlflow, service, rag, agents)


def solve(stack: Stack, task: str) -> dict[str, Any]:
    """The record of a run of the team, once it has ended or waits for a person."""
    with httpx.Client(base_url=f"{stack.agents}/v1", timeout=SECONDS) as client:
        run = client.post("/runs", json={"task": task}).raise_for_status().json()["id"]
        while True:
            record: dict[str, Any] = client.get(f"/runs/{run}").raise_for_status().json()
            if record["status"] != "running":
                return record
            time.sleep(0.2)


def trace_page(stack: Stack, run: str) -> str:
    """The address of a run's trace in MLflow."""
    events = httpx.get(f"{stack.agents}/v1/runs/{run}/events").text
    data = (line.removeprefix("data:") for line in events.splitlines() if line.startswith("data:"))
    event = next(event for event in map(json.loads, data) if event["kind"] == "traced")
    return str(event["data"]["page"])


def read_trace(stack: Stack, page: str) -> list[Any]:
    """The spans of a trace, oldest first, once they have arrived in MLflow."""
    from mlflow import MlflowClient

    trace_id = page.rpartition("=")[2]
    client, spans = MlflowClient(stack.mlflow), list[Any]()
    end = time.monotonic() + 60
    while time.monotonic() < end:
        time.sleep(1)
        seen, spans = len(spans), client.get_trace(trace_id).data.spans
        whole = len(list(tree(spans))) == len(spans) == seen  # no parent is missing
        if whole and any(span.name == "run" for span in spans):
            break
    return sorted(spans, key=lambda span: span.start_time_ns)


def tree(spans: list[Any], parent: str | None = None, depth: int = 0) -> Iterator[str]:
    """The spans as lines, each below its parent and indented, with their seconds."""
    for span in spans:
        if span.parent_id == parent:
            seconds = (span.end_time_ns - span.start_time_ns) / 1e9
            yield f"{seconds:7.2f} s  {'  ' * depth}{span.name}"
            yield from tree(spans, span.span_id, depth + 1)


def main(arguments: list[str]) -> None:
    """Start the servers; with a task, solve it and print its trace."""
    with open_stack() as stack:
        for name, address in vars(stack).items():
            print(f"{name:8} {address}")
        if not arguments:
            signal.sigwait([signal.SIGINT, signal.SIGTERM])
            return
        run = solve(stack, " ".join(arguments))
        answer = run["answer"] or {"text": run["reason"]}
        page = trace_page(stack, run["id"])
        print(f"\n{answer['text']}\n\n{page}")
        print(*tree(read_trace(stack, page)), sep="\n")


if __name__ == "__main__":
    main(sys.argv[1:])
