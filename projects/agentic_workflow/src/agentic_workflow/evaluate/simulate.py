"""What another policy would have decided about past cases, before it goes live.

    for difference in simulate(store, load_policy(Path("policy.toml"))):
        print(difference.case_id, difference.before.action, "→", difference.after.action)

Uses the mail, triage and facts that are stored with each case, so it looks nothing up, calls no
model and changes nothing. Replies are not rewritten.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from agentic_workflow.decide.policy import LIMIT_EXCEEDED, Policy
from agentic_workflow.mail.screen import screen
from agentic_workflow.store.case import Decision, Value
from agentic_workflow.store.records import CaseRecord
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
    for record in islice(_decided_cases(store), limit):
        after = _decide(record, policy)
        before = record.decision
        if before is None or after is None:
            continue
        fields = tuple(f for f in FIELDS if getattr(before, f) != getattr(after, f))
        if fields:
            differences.append(
                Difference(
                    case_id=record.id,
                    subject=record.subject,
                    before=before,
                    after=after,
                    fields=fields,
                )
            )
    return differences


def _decided_cases(store: Store) -> Iterator[CaseRecord]:
    before = None
    while page := store.cases(before=before, limit=_PAGE):
        for summary in page:
            record = store.case(summary.id)
            if record.decision is not None:
                yield record
        before = page[-1].number


def _decide(record: CaseRecord, policy: Policy) -> Decision | None:
    if record.triage is None or record.facts is None or record.decision is None:
        return None
    # An exceeded limit belongs to that day, not to the policy that is tried.
    limits = [r for r in record.decision.reasons if r.startswith(LIMIT_EXCEEDED)]
    return policy.decide(
        record.mail,
        screen(record.mail),
        record.triage,
        record.facts,
        over_limit=limits[0].removeprefix(LIMIT_EXCEEDED).rstrip(".") if limits else "",
        today=record.received_at.date(),
    )
