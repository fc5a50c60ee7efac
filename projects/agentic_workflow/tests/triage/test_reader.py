import json
from pathlib import Path

from agentic_workflow.triage.reader import Reader, find_reader
from seedbed.errors import Busy
from seedbed.models.scripted import ScriptedChatModel


def test_reader_asks_for_the_schema_and_shows_the_mail() -> None:
    model = ScriptedChatModel([{"category": "refund"}])
    reader = find_reader(model)
    assert reader is not None
    assert reader.read("my money please") == "refund"
    assert "my money please" in model.calls[0].text


def test_adapter_is_asked_as_it_was_trained(tmp_path: Path) -> None:
    (tmp_path / "task.json").write_text(json.dumps({"system": "Answer with one tool call."}))
    call = {"name": "refund_order", "arguments": {"order": "A-733", "reason": "damaged"}}
    model = ScriptedChatModel([call], model_name=f"path:{tmp_path}")
    reader = find_reader(model)
    assert reader is not None
    assert reader.read("A-733 is broken") == "refund"
    assert [message.text for message in model.calls[0].messages] == [
        "Answer with one tool call.",
        "A-733 is broken",
    ]


def test_adapter_may_answer_with_a_billing_ticket_or_a_category(tmp_path: Path) -> None:
    (tmp_path / "task.json").write_text('{"system": "Classify."}')
    ticket = {"name": "create_ticket", "arguments": {"category": "billing"}}
    model = ScriptedChatModel([ticket, "shipping"], model_name=f"path:{tmp_path}")
    reader = find_reader(model)
    assert reader is not None
    readings = [reader.read("?"), reader.read("?")]
    assert readings == ["billing", "shipping"]


def test_failing_model_gives_no_reading() -> None:
    reader = Reader(ScriptedChatModel([Busy("full"), "not JSON"]), "system")
    assert [reader.read("hello"), reader.read("hello")] == [None, None]


def test_default_model_is_not_asked() -> None:
    assert find_reader(ScriptedChatModel(model_name="smollm2")) is None
    assert find_reader(None) is None
