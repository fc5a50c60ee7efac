import pytest

from agentic_workflow.case import Mail, Screening
from agentic_workflow.triage.triager import follows_instructions, without_reading


def letter(text: str, **fields: object) -> Mail:
    return Mail.model_validate(
        {"message_id": "1", "content_hash": "1", "sender": "", "text": text, **fields}
    )


@pytest.mark.parametrize(
    ("spec", "capable"),
    [("smollm2", False), ("path:var/model", False), ("openai:gpt-4o-mini", True)],
)
def test_capable_models_follow_instructions(spec: str, capable: bool) -> None:
    assert follows_instructions(spec) is capable


def test_spam_and_empty_mail_need_no_reading() -> None:
    spam = without_reading(letter("parcel"), Screening(spam=True, reasons=("bad link",)))
    assert spam and (spam.category, spam.priority) == ("spam", "low")
    empty = without_reading(letter(""), Screening())
    assert empty and (empty.category, empty.needs_approval) == ("other", False)
    assert without_reading(letter("", subject="Order 10234?"), Screening()) is None
