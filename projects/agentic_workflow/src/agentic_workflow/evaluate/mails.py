"""Quality of triage and policy on mails whose right answers are known.

    gold = read_gold(Path("eval/gold.jsonl"), Path("eval/mails"))
    results = run(desk, Path("eval/mails"), gold, progress)
    report(results).figures["acted alone where a person is needed"].value

A gold line is {"file", "category", "priority", "needs_approval", "order_id", "amount"}, with "file"
relative to the folder of the mails. Nothing is stored, written or sent: the steps of the workflow
are called without it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from statistics import fmean

from pydantic import BaseModel

from agentic_workflow.case import Category, Decision, Priority, Triage
from agentic_workflow.decide.alone import require_proof
from agentic_workflow.decide.shop import look_up
from agentic_workflow.mail.parse import parse_mail
from agentic_workflow.workflow import JudgingParts
from seedbed.cli import Progress, table
from seedbed.errors import BadInput, SeedbedError
from seedbed.files import read_models
from seedbed.runs.evaluation import Figure, Report

FIELDS = ("category", "priority", "order_id", "amount")


class Gold(BaseModel):
    file: str
    category: Category
    priority: Priority
    needs_approval: bool
    order_id: str | None = None
    amount: Decimal | None = None


@dataclass(frozen=True)
class Result:
    gold: Gold
    triage: Triage
    decision: Decision

    def correct(self, field: str) -> bool:
        """Whether a field of the triage equals the gold answer, an order as the mail has it."""
        return bool(getattr(self.triage, field) == getattr(self.gold, field))


def read_gold(path: Path, inbox: Path) -> list[Gold]:
    """Read the gold file. Raises BadInput with the line of the first mistake."""
    gold = list(read_models(path, Gold))
    for place, one in gold:
        if not (inbox / one.file).is_file():
            raise BadInput(f"{place}: {str(inbox / one.file)!r} does not exist.")
    if not gold:
        raise BadInput(f"{str(path)!r} has no lines.", hint="Add one JSON object per mail.")
    return [one for _, one in gold]


def _judge(desk: JudgingParts, data: bytes, gold: Gold) -> Result:
    # Collections of mails have lost the headers of the server that received them.
    mail = parse_mail(data).model_copy(update={"verified": True})
    triage = desk.triager.triage(mail)
    facts = look_up(desk.shop, mail.sender, triage.order_id)
    policy = desk.policy.current()
    decision = policy.decide(mail, triage, facts)
    decision = require_proof(decision, mail, triage, facts, policy.alone)
    return Result(gold, triage, decision)


def run(
    desk: JudgingParts, inbox: Path, answers: Sequence[Gold], progress: Progress
) -> list[Result]:
    """Work through every mail that has an answer. Raises BadInput for one that is too large."""
    results = []
    for number, answer in enumerate(answers, 1):
        try:
            results.append(_judge(desk, (inbox / answer.file).read_bytes(), answer))
        except SeedbedError as error:
            raise BadInput(f"{answer.file}: {error}") from None
        progress(number, len(answers), answer.file)
    return results


def report(results: Sequence[Result]) -> Report:
    """The figures with intervals, and the cases behind them."""
    needed = [r for r in results if r.gold.needs_approval]
    harmless = [r for r in results if not r.gold.needs_approval]
    costs = [r.triage.cost_usd for r in results]
    figures = {
        **{f"{field} right": _share(r.correct(field) for r in results) for field in FIELDS},
        "acted alone where a person is needed": _share(not r.decision.approval for r in needed),
        "harmless handled alone": _share(not r.decision.approval for r in harmless),
        "cost of triage": Figure(fmean(costs), len(costs), unit="USD"),
    }
    cases = [
        {"id": r.gold.file, **{field: int(r.correct(field)) for field in FIELDS}} for r in results
    ]
    return Report("agentic_workflow", figures, cases)


def _share(hits: Iterable[bool]) -> Figure:
    values = list(hits)
    return Figure.share(sum(values), len(values))


def to_text(results: Sequence[Result]) -> str:
    """The figures and every mistake, for a terminal."""
    mistakes = [
        (r.gold.file, field, str(getattr(r.triage, field)), str(getattr(r.gold, field)))
        for r in results
        for field in FIELDS
        if not r.correct(field)
    ]
    mistakes += [
        (r.gold.file, "handled by", "the desk", "a person")
        for r in results
        if r.gold.needs_approval and not r.decision.approval
    ]
    return (
        f"{report(results).to_markdown()}\n{table(('mail', 'field', 'value', 'right'), mistakes)}"
    )
