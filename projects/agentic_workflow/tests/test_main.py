"""The command line, as its users type it; no worker runs."""

import json
from pathlib import Path

import pytest

from agentic_workflow.__main__ import main

MAIL = b"From: Bob <bob@mail.example>\nMessage-ID: <1@mail.example>\nSubject: Order 10234\n\nHello?"


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WORKFLOW_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as done:
        main([str(argument) for argument in arguments])
    return int(done.value.code or 0)


def test_submitted_mail_is_a_case_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mail.eml").write_bytes(MAIL)
    assert run("submit", tmp_path / "mail.eml", tmp_path / "mail.eml", "--json") == 0
    first, second = json.loads(capsys.readouterr().out)
    assert (first["status"], second["case"]) == ("received", first["case"])
    assert run("case", first["case"], "--json") == 0
    assert json.loads(capsys.readouterr().out)["case"]["subject"] == "Order 10234"
    assert run("inbox", "--json") == 0
    assert json.loads(capsys.readouterr().out) == []


def test_case_that_does_not_wait_cannot_be_approved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mail.eml").write_bytes(MAIL)
    run("submit", tmp_path / "mail.eml", "--json")
    case = json.loads(capsys.readouterr().out)[0]["case"]
    assert run("approve", case) == 2
    assert "does not wait for approval; it is received." in capsys.readouterr().err


def test_policy_check_names_the_line_of_a_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("policy", "check") == 0
    policy = tmp_path / "policy.toml"
    policy.write_text("version = 1\nretry = oops\n")
    assert run("policy", "check", policy) == 2
    assert f"{policy}, line 2" in capsys.readouterr().err


def test_evaluation_names_the_gold_line_that_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gold = tmp_path / "gold.jsonl"
    gold.write_text('{"file": "a.eml", "category": "refund"}\n')
    assert run("eval", "--inbox", tmp_path, "--gold", gold, "--json") == 2
    assert "gold.jsonl, line 1: priority: Field required." in capsys.readouterr().err
