"""The servers as processes of their own: a question through all of them is one trace."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools.stack import open_stack, read_trace, solve, trace_page, tree
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


def test_question_through_four_processes_is_one_trace(tmp_path: Path) -> None:
    models, documents = tmp_path / "models.toml", tmp_path / "documents"
    documents.mkdir()
    (documents / "returns.md").write_text("# Returns\n\nGoods can be returned within 45 days.\n")
    with launch_vendor(REPLIES) as vendor:
        models.write_text(MODELS.format(vendor.url))
        settings = {"SERVICE_MODELS": str(models), "TEAM_KEY": "test-key"}
        with open_stack(tmp_path / "var", documents, **settings) as stack:
            run = solve(stack, PLAN["task"])
            assert run["status"] == "done", (run["reason"], vendor.problems)
            assert "45 days" in run["answer"]["text"]
            page = trace_page(stack, run["id"])
            spans = read_trace(stack, page)
    lines = [line.partition(" s  ")[2] for line in tree(spans)]
    assert len(lines) == len(spans)  # no span is without its parent
    assert lines[0] == "POST /v1/runs"
    names = {line.strip() for line in lines}
    assert {"run", "invoke_agent operator", "execute_tool handbook__search"} <= names  # the team
    assert {"POST /v1/chat/completions", "chat team"} <= names  # the service
    assert {"tools/call search", "retrieval default", "embeddings minilm"} <= names  # the documents
    # The vendor is told of the trace, too.
    assert all(call.headers["traceparent"].split("-")[1] in page for call in vendor.calls)
