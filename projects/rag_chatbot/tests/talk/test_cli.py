import io
import json
import os
import re
import sys
import urllib.request

import pytest

from rag_chatbot.__main__ import main
from seedbed.testing.launch import free_port, run_server

FACT = "The harbour of Vellin opens at six in the morning."
WHEN = "When does the harbour of Vellin open?"


@pytest.fixture(autouse=True)
def settings(tmp_path, monkeypatch):
    """Commands read their settings from the environment: a folder of their own, no weights."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAG_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("SEEDBED_EMBEDDINGS", "hash:")
    for name in ("RAG_MODE", "SEEDBED_CHROMA_URL", "SEEDBED_API_KEYS", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def docs(tmp_path):
    folder = tmp_path / "docs"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "port.md").write_text(f"# Harbour\n\n## Hours\n\n{FACT}\n")
    (folder / "tea.md").write_text("# Tea\n\nGreen tea from Asun is steeped for two minutes.\n")
    return folder


@pytest.fixture
def run(capsys):
    """Runs a command; returns exit status, what it printed, and what went to standard error."""

    def run_command(*arguments):
        with pytest.raises(SystemExit) as exit_info:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return exit_info.value.code or 0, out, err

    return run_command


def test_ingest_prints_summary_and_fails_on_unreadable_file(run, docs):
    code, out, _ = run("ingest", docs, "--json")
    summary = json.loads(out)
    assert (code, summary["added"], summary["failed"], summary["skipped"]) == (0, 2, [], [])
    (docs / "tea.md").unlink()
    (docs / "bad.pdf").write_bytes(b"%PDF-1.4 broken")
    code, out, _ = run("ingest", docs, "--prune", "--json")
    summary = json.loads(out)
    assert code == 1
    assert (summary["unchanged"], summary["removed"]) == (1, 1)
    [failed] = summary["failed"]
    assert failed["path"] == "docs/bad.pdf" and failed["reason"]
    code, out, err = run("ingest", docs)
    assert code == 1 and out == "" and "failed: docs/bad.pdf: " in err and "1 unchanged" in err


def test_ask_prints_answer_with_citations(run, docs):
    run("ingest", docs)
    code, out, _ = run("ask", WHEN, "--json")
    answer = json.loads(out)
    citation = answer["citations"][0]
    where = (citation["source"], citation["heading"], citation["page"])
    assert (code, where) == (0, ("docs/deep/port.md", "Hours", None))
    assert (answer["question"], answer["abstained"]) == (WHEN, False)
    assert answer["model"] == os.environ["SEEDBED_MODEL"]
    code, out, _ = run("ask", WHEN)
    assert FACT in out and "[1] docs/deep/port.md, Hours" in out
    assert "nearest: " in run("ask", "Who founded the city of Quillon?")[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ask", "word " * 200_000], "characters"),
        (["ask", WHEN, "--collection", "nope"], "Unknown collection 'nope'"),
        (["documents", "delete", "nope.md"], "nope.md"),
        (["eval", "--qa", "nope", "--docs", "nope"], "nope cannot be read"),
    ],
)
def test_errors_are_one_line_with_exit_status_2(run, arguments, message):
    code, out, err = run(*arguments)
    assert code == 2 and out == ""
    [line] = err.strip().splitlines()
    assert line.startswith("error: ") and message in line and len(line) < 400


def test_chat_continues_conversation(run, docs, monkeypatch):
    run("ingest", docs)
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{WHEN}\nx\nAnd what is it like?\n\n"))
    code, out, err = run("chat")
    assert code == 0 and FACT in out and "contains no words" in err
    assert out.count("> ") == 4


def test_documents_and_collections_are_listed_and_deleted(run, docs):
    run("ingest", docs, "--collection", "notes")
    assert "docs/deep/port.md" in run("documents", "list", "-c", "notes")[1]
    documents = json.loads(run("documents", "list", "-c", "notes", "--json")[1])
    assert [item["source"] for item in documents] == ["docs/deep/port.md", "docs/tea.md"]
    assert run("documents", "delete", "docs/tea.md", "-c", "notes")[0] == 0
    run("collections", "create", "safe", "--readers", "alice, bob", "--writers", "alice")
    rules = {rule["name"]: rule for rule in json.loads(run("collections", "list", "--json")[1])}
    assert set(rules) == {"default", "notes", "safe"}
    assert (rules["safe"]["readers"], rules["safe"]["writers"]) == (["alice", "bob"], ["alice"])
    table = run("collections", "list")[1]
    assert re.search(r"safe +alice, bob +alice", table)
    assert re.search(r"notes +\*", table)
    assert run("documents", "list", "-c", "safe")[0] == 0  # the operator may read every collection
    assert run("collections", "delete", "safe")[0] == 0
    assert run("documents", "list", "-c", "safe")[0] == 2


def test_feedback_export_is_input_for_eval(run, docs, tmp_path):
    run("ingest", docs)
    from rag_chatbot.conversation import Conversations

    conversations = Conversations(tmp_path / "data" / "conversations.sqlite")
    answer = json.loads(run("ask", WHEN, "--json")[1])
    turn = conversations.add(conversations.start("local", "default", WHEN), WHEN, answer)
    conversations.rate(turn, "local", "up")
    cases = tmp_path / "cases.jsonl"
    code, _, err = run("feedback", "export", cases)
    assert code == 0 and "1 cases" in err
    code, out, _ = run("eval", "--qa", cases, "--docs", docs, "--json")
    result = json.loads(out)
    assert (code, result["answer_accuracy"], result["questions"]) == (0, 1.0, 1)
    code, out, _ = run("eval", "--qa", cases, "--docs", docs)
    assert code == 0 and "answer_accuracy" in out


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_serve_ingests_documents_and_stops_on_sigterm(docs):
    port = free_port()
    argv = [sys.executable, "-m", "rag_chatbot", "serve", str(docs), "--port", str(port)]
    with run_server(argv, port, "/readyz", env=dict(os.environ)) as process:
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/v1/ask",
            json.dumps({"question": WHEN}).encode(),
            {"content-type": "application/json"},
        )
        answer = json.load(urllib.request.urlopen(request, timeout=60))
        page = urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60).read().decode()
    assert FACT in answer["answer"] and "Ask your documents" in page
    assert process.returncode == 0
