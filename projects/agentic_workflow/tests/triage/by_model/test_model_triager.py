"""What becomes of a model's reading: what the mail does not contain does not count."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from agentic_workflow.case import Mail, Triage
from agentic_workflow.triage.by_model.model_triager import ModelTriager
from agentic_workflow.triage.triager import open_triager
from seedbed.models.load import load_chat_model
from seedbed.models.scripted import ScriptedChatModel
from seedbed.settings import Settings, load
from seedbed.testing.vendor.server import launch_vendor

MAIL = Mail(
    message_id="1",
    content_hash="1",
    sender="tom@mail.example",
    subject="Kettle",
    text="The kettle of order GL-59921 came back to you.\nPlease refund the 1.043,90 € now!",
    sent_at=datetime(2026, 6, 10, 9, tzinfo=UTC),
)
READING: dict[str, Any] = {
    "category": "refund",
    "category_quote": "Please refund the 1.043,90 €",
    "confidence": 0.96,
    "others": [],
    "priority": "normal",
    "order_number": "GL-59921",
    "order_quote": "The kettle of order GL-59921 came back",
    "amount": 1043.9,
    "currency": "EUR",
    "amount_quote": "refund the 1.043,90 €",
    "needs_person": False,
    "person_reason": "",
}


def read(*changes: dict[str, Any], mail: Mail = MAIL) -> tuple[Triage, ScriptedChatModel]:
    """The triage of a mail after one reply for each change of the good one."""
    model = ScriptedChatModel([READING | change for change in changes])
    return ModelTriager(model).triage(mail), model


def test_good_reading_becomes_the_triage_with_its_evidence_and_the_cost_of_all_attempts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "test-key")
    wrong = READING | {"category_quote": "I want to pay more"}
    with launch_vendor([json.dumps(wrong), json.dumps(READING)]) as vendor:
        settings = load(Settings, model="openai:gpt-4o-mini", base_url=f"{vendor.url}/v1")
        triage = ModelTriager(load_chat_model(settings=settings)).triage(MAIL)
        usage = vendor.usage
        assert (len(vendor.calls), vendor.problems) == (2, [])
    assert triage.tokens == usage.input_tokens + usage.output_tokens
    assert triage.cost_usd > 0
    assert (triage.category, triage.confidence, triage.priority) == ("refund", 0.96, "normal")
    assert (triage.order_id, triage.amount, triage.currency) == (
        "GL-59921",
        Decimal("1043.9"),
        "EUR",
    )
    assert (triage.approval_reason, triage.others) == ("", ())
    assert triage.model == "openai:gpt-4o-mini"
    assert triage.reasons[0] == 'category: refund ("Please refund the 1.043,90 €")'
    assert [reason.split(":")[0] for reason in triage.reasons] == ["category", "order", "amount"]


def test_model_sees_the_mail_as_quoted_data_and_the_thread_apart() -> None:
    _, model = read({}, mail=MAIL.model_copy(update={"quoted": "> We offer 20 EUR."}))
    prompt = model.calls[0].text
    assert "<<<MAIL " in prompt and "<<<EARLIER MESSAGES " in prompt
    assert "Subject: Kettle" in prompt and "Wednesday, 2026-06-10" in prompt
    assert "tom@mail.example" not in prompt


@pytest.mark.parametrize(
    "change",
    [
        {"category_quote": ""},
        {"category_quote": "Please refund the 43,90 €"},
        {"order_quote": "order 70001"},
        {"amount": -5},
        {"confidence": 7},
    ],
)
def test_reading_that_the_mail_does_not_contain_is_refused(change: dict[str, Any]) -> None:
    triage, model = read(change, {})  # asked again, with the problem
    assert (triage.category, triage.approval_reason) == ("refund", "")
    assert "This answer cannot be used" in model.calls[1].text
    refused, _ = read(change, change)
    assert (refused.category, refused.confidence) == ("other", 0.0)
    assert refused.approval_reason.startswith("The model could not read the mail: ")


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"order_number": "9921"}, "order_id", "The order 9921 is not in its quote"),
        ({"amount": 10439.0}, "amount", "The sum 10439.0 is not in its quote"),
    ],
)
def test_order_or_sum_that_is_not_in_its_quote_is_dropped(
    change: dict[str, Any], field: str, reason: str
) -> None:
    triage, _ = read(change)
    assert getattr(triage, field) is None
    assert triage.approval_reason == reason


@pytest.mark.parametrize(
    "change",
    [
        {"automatic": True},
        {"subject": "", "text": ""},
        {"spam": True},
        {"injection": "asks to ignore the instructions"},
    ],
)
def test_mail_that_needs_no_reading_reaches_no_model(change: dict[str, Any]) -> None:
    model = ScriptedChatModel([])
    triager = open_triager(model, lambda: pytest.fail("A model needs no embeddings."))
    triage = triager.triage(MAIL.model_copy(update=change))
    assert not model.calls
    assert bool(triage.approval_reason) is ("injection" in change)


@pytest.mark.parametrize(
    "text",
    ["I want a refund. My lawyer will sue you.", "Refund: it caught fire, my hand is burnt."],
)
def test_danger_and_threats_are_not_left_to_the_model(text: str) -> None:
    values = {"order_number": None, "order_quote": "", "amount": None, "amount_quote": ""}
    model = ScriptedChatModel([READING | values | {"category_quote": "refund"}])
    triager = open_triager(model, lambda: pytest.fail("A model needs no embeddings."))
    triage = triager.triage(MAIL.model_copy(update={"text": text}))
    assert (triage.category, triage.priority) == ("refund", "high")
    assert triage.approval_reason.startswith("It may be urgent")
