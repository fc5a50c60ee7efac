"""The servers as processes of their own: a question through all of them is one trace."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from tools.stack import open_stack
from seedbed.testing.vendor.script import Reply
from seedbed.testing.vendor.server import launch_vendor

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
PLAN = {"id": "s1", "specialist": "operator", "task": "Within how many days can goods be returned?"}
EMPTY = {"refusal": "", "question": "", "options": []}
REPLIES = [
    json.dumps(EMPTY | {"steps": [PLAN]}),
    Reply(tool_calls=(("handbook__search", {"query": "return goods"}),)),
    "Within 45 days.",
]
MODELS = """
[models.team]
backend = "openai"
base_url = "{}/v1"
api_key_env = "TEAM_KEY"
model = "gpt-4o-mini"
"""

SPANS = {
    *("run", "invoke_agent operator", "execute_tool handbook__search"),  # the team
    *("POST /v1/chat/completions", "chat team"),  # the service
    *("tools/call search", "retrieval default", "embeddings minilm"),  # the documents
}


def test_question_through_four_processes_is_one_trace(tmp_path: Path) -> None:
    models, documents = tmp_path / "models.toml", tmp_path / "documents"
    documents.mkdir()
    (documents / "returns.md").write_text("# Returns\n\nGoods can be returned within 45 days.\n")
    with launch_vendor(REPLIES) as vendor:
        models.write_text(MODELS.format(vendor.url))
        settings = {"SERVICE_MODELS": str(models), "TEAM_KEY": "test-key"}
        with open_stack(tmp_path / "var", documents, **settings) as stack:
            with httpx.Client(base_url=f"{stack.agents}/v1", timeout=300) as client:
                run = client.post("/runs", json={"task": PLAN["task"]}).raise_for_status().json()
                client.get(f"/runs/{run['id']}/events")  # the stream ends with the run
                record = client.get(f"/runs/{run['id']}").json()
            assert record["status"] == "done", (record["reason"], vendor.problems)
            assert "45 days" in record["answer"]["text"]
            # The vendor is told of the trace, too.
            (trace,) = {call.headers["traceparent"].split("-")[1] for call in vendor.calls}
            spans = read_spans(stack.mlflow, f"tr-{trace}")
    ids, names = {span.span_id for span in spans}, {span.name for span in spans}
    assert names >= SPANS
    assert [span.name for span in spans if span.parent_id not in ids] == ["POST /v1/runs"]


def read_spans(address: str, trace: str) -> list[Any]:
    """The spans of a trace, once those of all processes have arrived, or a minute later."""
    client, spans = MlflowClient(address), list[Any]()
    for _ in range(60):
        time.sleep(1)
        try:
            spans = list(client.get_trace(trace).data.spans)
        except MlflowException:  # not even its first batch of spans is there
            continue
        ids = {span.span_id for span in spans}
        roots = [span for span in spans if span.parent_id not in ids]
        if len(roots) == 1 and {span.name for span in spans} >= SPANS:
            break
    return spans
