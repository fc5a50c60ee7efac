"""Whatever a vendor answers instead of a reading, the mail goes to a person, with the reason."""

from __future__ import annotations

from typing import Any

import pytest

from agentic_workflow.case import Mail, Screening
from seedbed.testing.vendor.script import Reply

MAIL = Mail(message_id="1", content_hash="1", sender="", text="Where is order 59921?")
# One for each way in which a call can fail; `load_chat_model` is tested with every fault.
FAULTS = {
    "401": Reply(fault="401"),
    "500": Reply(fault="500"),
    "hang": Reply(fault="hang"),
    "drip": Reply(fault="drip"),
    "length": Reply('{"category": "', finish="length"),
    "refusal": Reply(refusal="I can't help with that."),
    "empty": Reply(""),
    "not JSON": Reply("It is about a parcel."),
    "not the schema": Reply('{"category": "greeting"}'),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_fault_of_the_model_leaves_the_mail_to_a_person(desk: Any, fault: Reply) -> None:
    seconds = 0.3 if fault.fault in ("hang", "drip") else 20.0
    triage = desk([fault] * 9, seconds).triage(MAIL, Screening())
    assert (triage.category, triage.confidence, triage.needs_approval) == ("other", 0.0, True)
    assert triage.approval_reason.startswith("The model could not read the mail: ")
    assert "\n" not in triage.approval_reason and len(triage.approval_reason) < 400
    usage = desk.vendor.usage
    assert triage.tokens == usage.input_tokens + usage.output_tokens
