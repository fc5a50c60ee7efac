"""Runs servers that work together, each in a process of its own, until Ctrl-C.

    SEEDBED_MODEL=openai:gpt-4o-mini .venv/bin/python -m tools.stack

multi_agent asks the model that llm_service serves, and searches the handbook that rag_chatbot has,
over MCP; the default model is too small to plan that. Their spans go to MLflow, where a question
is one trace. Everything stays on this machine; the files are in `var/stack`.
"""

from __future__ import annotations

import json
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from seedbed.testing.launch import free_port, run_server

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
FOLDER = ROOT / "var/stack"
SECONDS = 300.0
"""Time limit for the start of each server, and for a run."""
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
    """Start the servers with the extra environment variables `env`; stop them at the end.

    with open_stack(SEEDBED_MODEL="smollm2") as stack:
        httpx.post(f"{stack.agents}/v1/runs", json={"task": "What does LoRA train?"})
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
            MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",  # saves five processes
        )
        # Its first request creates the tables, which takes longer than an exporter waits.
        search = f"{mlflow}/api/2.0/mlflow/experiments/search"
        httpx.post(search, json={"max_results": 1}, timeout=SECONDS).raise_for_status()
        env |= {
            "OTEL_EXPORTER_OTLP_ENDPOINT": mlflow,
            "OTEL_EXPORTER_OTLP_HEADERS": "x-mlflow-experiment-id=0",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "30",
        }
        # 2. The model.
        service = start("llm-service serve", "/readyz", SERVICE_DATA_DIR=f"{folder}/service")
        model = httpx.get(f"{service}/v1/models").raise_for_status().json()["data"][0]["id"]
        # 3. The documents.
        command = f"rag-chatbot serve {shlex.quote(str(documents))}"
        rag = start(command, "/readyz", RAG_DATA_DIR=f"{folder}/rag")
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


if __name__ == "__main__":
    with open_stack() as stack:
        for name, address in vars(stack).items():
            print(f"{name:8} {address}")
        print("Ask the team on its page; each run is a trace in MLflow. Ctrl-C stops all.")
        signal.sigwait([signal.SIGINT, signal.SIGTERM])
