"""Every verb as a user types it; wrong input is one line and exit status 2."""

import asyncio
import json
import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from service_fakes import run_stubs
from stub_upstream import Stub

from llm_service.__main__ import main
from llm_service.config import Config
from llm_service.store.accounting import Accounting, Record
from llm_service.store.database import open_database
from llm_service.store.feedback import add
from seedbed.testing.launch import free_port, run_command


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    """Commands read their settings from the environment: a folder of their own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SERVICE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("SEEDBED_LOG_LEVEL", "WARNING")
    for name in ("SERVICE_MODELS", "SEEDBED_DATABASE_URL", "SEEDBED_API_KEYS", "PORT"):
        monkeypatch.delenv(name, raising=False)


def run(*arguments):
    return run_command(main, *arguments)


@pytest.fixture
def answers(tmp_path):
    """Two rated answers of a key, as a server has written them; gives their time."""
    at = datetime.now(UTC)
    database = open_database(Config(data_dir=tmp_path / "data", _env_file=None))
    accounting = Accounting(database)
    asyncio.run(accounting.start())
    messages = json.dumps([{"role": "user", "content": "What is 1+1?"}])
    about = {"key_id": "k", "key_name": "alice", "model": "smollm2", "model_used": "smollm2"}
    about |= {"prompt_tokens": 7, "completion_tokens": 3, "cost_usd": 0.25, "seconds": 0.5}
    for n, outcome in enumerate(("ok", "busy")):
        ids = {"request_id": f"r{n}", "response_id": f"chatcmpl-{n}"}
        content = {"messages": messages, "answer": "Zwölf."}
        accounting.add(Record(at=at, outcome=outcome, **ids, **about, **content))
    asyncio.run(accounting.stop())
    add(database, "chatcmpl-0", "up", None, "good")
    add(database, "chatcmpl-1", "down", correction="Zwölf, of course.")
    database.close()
    return at


def test_keys_are_made_listed_and_revoked():
    assert "No keys yet" in run("keys", "list").out
    made = run("keys", "create", "--name", "alice", "--json").json
    assert {"id", "key"} <= set(made) and made["key"].startswith("sk-sb-")
    options = "--scope chat --scope admin --model smollm2 --rpm 5 --budget-usd 1.5"
    options += " --team red --expires 2090-01-01"
    _, out, err = run(*f"keys create --name bob {options}".split())
    assert out.startswith("sk-sb-") and out.count("\n") == 1  # KEY=$(llm-service keys create …)
    assert "cannot be shown again" in err
    table = run("keys", "list").out
    assert "bob" in table and "5 rpm, 1.5 USD/month" in table and "expires 2090-01-01" in table
    assert made["key"] not in table
    listed = run("keys", "list", "--json").json
    assert [key["name"] for key in listed] == ["alice", "bob"]
    assert listed[1]["scopes"] == ["admin", "chat"] and listed[1]["models"] == ["smollm2"]
    assert "digest" not in str(listed)
    rotated = run("keys", "rotate", made["id"], "--json").json
    assert rotated["id"] == made["id"] and rotated["key"] != made["key"]
    assert "Rotated key 'bob'" in run("keys", "rotate", "bob").err
    assert run("keys", "revoke", made["id"], "--json").json["revoked"]
    assert "revoked" in run("keys", "revoke", "bob").out
    assert run("keys", "list").out.count("revoked") == 2


def test_usage_by_key_model_and_day(answers):
    (row,) = run("usage", "--json").json
    assert (row["key"], row["n"], row["ok"], row["errors"]) == ("alice", 2, 1, 1)
    assert row["cost_usd"] == 0.5 and row["prompt_tokens"] == 14
    assert "alice" in run("usage").out
    assert "smollm2" in run("usage", "--by", "model").out
    (day,) = run("usage", "--by", "day", "--json").json
    assert day["day"] == f"{answers:%Y-%m-%d}"
    assert run("usage", "--since", "2090-01-01", "--json").json == []


@pytest.mark.usefixtures("answers")
def test_rated_answers_are_exported_as_text_that_is_read(tmp_path):
    status, _, err = run("feedback", "export", "out.jsonl")
    assert status == 0 and "2 conversations" in err
    line, corrected = (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()
    assert "Zwölf" in line
    assert json.loads(corrected)["messages"][-1]["content"] == "Zwölf, of course."
    assert [m["role"] for m in json.loads(line)["messages"]] == ["user", "assistant"]
    status, _, err = run("feedback", "export", "out.jsonl")
    assert status == 2 and "out.jsonl exists. Choose another name" in err
    assert (tmp_path / "out.jsonl").read_text(encoding="utf-8") == f"{line}\n{corrected}\n"


def test_nothing_to_report():
    assert run("usage").out == "No requests yet.\n"
    assert run("experiments", "--json").json == []
    assert "experiment" in run("experiments").out


WRONG = [
    ("keys create --name x --scope boss", "boss"),
    ("keys create --name x --budget-usd nan", "budget_usd"),
    ("keys create --name x --team-budget-usd 5", "needs a team"),
    ("keys create --name x --expires 2001-01-01", "past"),
    ("keys revoke nobody", "'nobody'"),
    ("usage --by weather", "'weather'"),
    ("serve --models nope.toml", "nope.toml"),
    ("serve --host 0.0.0.0", "requires API keys"),
    ("eval --url http://127.0.0.1:1/v1", "127.0.0.1:1"),
]


@pytest.mark.parametrize(("line", "told"), WRONG, ids=[line for line, _ in WRONG])
def test_wrong_input_is_one_line_and_exit_2(line, told):
    status, out, err = run(*line.split())
    assert status == 2 and out == ""
    *_, said = err.splitlines()
    assert said.startswith("error: ") and told in said
    assert "Traceback" not in err


@pytest.mark.parametrize("name", ["SERVICE_MAX_RUNNING", "SEEDBED_DATABASE_URL"])
def test_a_wrong_setting_is_named(monkeypatch, name):
    monkeypatch.setenv(name, "foo")
    status, _, err = run("serve", "--port", "1")
    assert status == 2 and name in err and err.splitlines()[-1].startswith("error: ")


def demo(base_url):
    """`llm-service demo` on an upstream, as a user starts it."""
    env = {**os.environ, "SEEDBED_MODEL": "openai:stub", "SEEDBED_BASE_URL": base_url}
    command = [sys.executable, "-m", "llm_service", "demo"]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_demo_fails_the_steps_that_a_model_gets_wrong():
    with run_stubs(Stub()) as (url,):
        done = demo(url)
    lines = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert done.returncode == 1, done.stderr
    assert lines["✗ tool call"] == "the model made no tool call"
    assert lines["✗ JSON schema"].startswith("unexpected answer: ")
    assert "✓ embeddings" in lines


def test_demo_prints_the_error_of_a_service_that_cannot_chat():
    done = demo(f"http://127.0.0.1:{free_port()}/v1")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: stub: cannot connect to the upstream.\n"
