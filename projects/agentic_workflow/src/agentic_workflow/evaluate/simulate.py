"""What a changed policy would decide about past cases, before it goes live.

    for difference in simulate(store, load_policy(Path("policy.toml"))):
        print(difference.case_id, difference.before.action, "→", difference.after.action)

Uses the mail, triage and facts that are stored with each case, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from agentic_workflow.case import CaseRecord, Decision, Facts, Triage, Value
from agentic_workflow.decide.alone import require_proof
from agentic_workflow.decide.policy import LIMIT_EXCEEDED, Policy
from agentic_workflow.mail.screen import screen
from agentic_workflow.store.store import Store

FIELDS = ("action", "approval", "amount", "rule")
_PAGE = 200


class Difference(Value):
    """A case about which the policies disagree."""

    case_id: str
    subject: str
    before: Decision  # as it was recorded
    after: Decision
    fields: tuple[str, ...]  # those of FIELDS that differ


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


def _decided_cases(store: Store) -> Iterator[tuple[CaseRecord, Triage, Facts, Decision]]:
    before = None
    while page := store.cases(before=before, limit=_PAGE):
        for summary in page:
            case = store.case(summary.id)
            if case.triage and case.facts and case.decision:
                yield case, case.triage, case.facts, case.decision
        before = page[-1].number
