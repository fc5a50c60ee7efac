"""What a changed policy or prompt would do to past cases, before it goes live.

    for difference in simulate(store, load_policy(Path("policy.toml"))):
        print(difference.case_id, difference.before.action, "→", difference.after.action)
    for reply in simulate_replies(store, writer, passages, Path("reply.md")):
        print(reply.case_id, reply.after.body)

Uses the mail, triage and facts that are stored with each case, and changes nothing. Only a changed
prompt calls the model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from agentic_workflow.decide.alone import require_proof
from agentic_workflow.decide.draft import Writer
from agentic_workflow.decide.passages import Passages
from agentic_workflow.decide.policy import LIMIT_EXCEEDED, Policy
from agentic_workflow.mail.screen import screen
from agentic_workflow.store.case import Decision, Draft, Facts, Triage, Value
from agentic_workflow.store.records import CaseRecord
from agentic_workflow.store.store import Store
from seedbed.errors import BadInput
from seedbed.models.prompts import Prompt

FIELDS = ("action", "approval", "amount", "rule")
_PAGE = 200


class Difference(Value):
    """A case about which the policies disagree."""

    case_id: str
    subject: str
    before: Decision  # as it was recorded
    after: Decision
    fields: tuple[str, ...]  # those of FIELDS that differ


class Reply(Value):
    """The reply of a case, and how the changed prompt words it."""

    case_id: str
    subject: str
    before: Draft  # as it is stored, perhaps corrected by a person
    after: Draft


def simulate(store: Store, policy: Policy, *, limit: int = 1000) -> list[Difference]:
    """The differences among the last `limit` cases with a decision, the newest case first."""
    differences = []
    for record, triage, facts, before in islice(_decided_cases(store), limit):
        # An exceeded limit belongs to that day, not to the policy that is tried.
        limits = [r for r in before.reasons if r.startswith(LIMIT_EXCEEDED)]
        reason = limits[0].removeprefix(LIMIT_EXCEEDED).rstrip(".") if limits else ""
        mail, day = record.mail, record.received_at.date()
        after = policy.decide(mail, screen(mail), triage, facts, over_limit=reason, today=day)
        after = require_proof(after, mail, triage, facts, policy.alone, before.standing)
        if fields := tuple(f for f in FIELDS if getattr(before, f) != getattr(after, f)):
            case = {"case_id": record.id, "subject": record.subject}
            differences.append(Difference(**case, before=before, after=after, fields=fields))
    return differences


def simulate_replies(
    store: Store, writer: Writer, passages: Passages, prompt: Path, *, limit: int = 20
) -> list[Reply]:
    """Write the replies of the last `limit` cases with one again, the newest case first.

    Raises BadInput without a model that writes, or if the placeholders are not those in use.
    """
    if writer.model is None:
        reason = "Replies are written from templates, which use no prompt."
        raise BadInput(reason, hint="Set SEEDBED_MODEL to a model that can write.")
    text = re.sub(r"\Aversion:.*\n", "", prompt.read_text("utf-8")).strip()
    changed = Prompt(prompt.stem, 0, text)
    if set(changed.placeholders) != (names := set(writer.prompt.placeholders)):
        hint = f"It needs {', '.join(sorted(names))}."
        raise BadInput(f"{prompt} has other placeholders than the prompt in use.", hint=hint)
    writer.prompt, replies = changed, list[Reply]()
    for record, triage, facts, decision in _decided_cases(store):
        if record.draft and decision.action not in ("ignore", "hand_over"):
            mail, case = record.mail, {"case_id": record.id, "subject": record.subject}
            after = writer.write(mail, triage, facts, decision, passages.for_mail(mail, triage))
            replies.append(Reply(**case, before=record.draft, after=after))
        if len(replies) == limit:
            break
    return replies


def _decided_cases(store: Store) -> Iterator[tuple[CaseRecord, Triage, Facts, Decision]]:
    before = None
    while page := store.cases(before=before, limit=_PAGE):
        for summary in page:
            case = store.case(summary.id)
            if case.triage and case.facts and case.decision:
                yield case, case.triage, case.facts, case.decision
        before = page[-1].number
