"""Checks a result against its evidence, without trusting the specialist that made it.

    verify_result(step, result, workspace)      # "" or what does not hold

A quote has to be in its document, a query to return the same again, a calculation to have the same
result; the answer has to come out of its evidence, and to be of the kind that was asked for.
"""

from __future__ import annotations

import re

from multi_agent.specialists import Workspace
from multi_agent.state import Evidence, Result, Step
from multi_agent.tools.arithmetic import calculate
from seedbed.errors import SeedbedError

_COUNT = re.compile(r"\bhow (?:many|much|long|old|far|often|high|large)\b|\bpercent", re.IGNORECASE)
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
_NUMBER_WORDS = re.compile(
    r"\b(?:no|none|nothing|never|zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|"
    r"once|twice|half|quarter|third|free|daily|weekly|monthly|yearly|annually|every|unlimited|always|"
    r"hundred|thousand|dozen|an?|all|until|lifetime)\b",
    re.IGNORECASE,
)


def verify_result(step: Step, result: Result, workspace: Workspace) -> str:
    """What does not hold, in one line; empty if everything does."""
    if not result.evidence:
        return f"The {step.specialist} gave no evidence."
    if _COUNT.search(step.task) and not has_amount(result.answer):
        return f"{result.answer!r} is not an amount."
    checks = (check_evidence(one, result, workspace) for one in result.evidence)
    return next(filter(None, checks), "")


def has_amount(text: str) -> bool:
    """Whether a text contains a number, in digits or in words.

    >>> has_amount("twice a year"), has_amount("in the lobby")
    (True, False)
    """
    return bool(re.search(r"\d", text) or _NUMBER_WORDS.search(text))


def check_evidence(evidence: Evidence, result: Result, workspace: Workspace) -> str:
    """What is wrong with one piece of evidence."""
    match evidence.kind:
        case "quote":
            return check_quote(evidence, result, workspace)
        case "query":
            return check_query(evidence, result, workspace)
        case "calculation":
            return check_calculation(evidence, result)
    return ""  # a program is not run twice, and a page may have changed


def check_quote(evidence: Evidence, result: Result, workspace: Workspace) -> str:
    """The quote is in the document, and has the numbers of the answer."""
    source = evidence.source.rsplit(":", 1)[0]
    passages = workspace.documents.passages if workspace.documents else []
    text = " ".join(p.text for p in passages if p.source == source)
    if plain(evidence.text) not in plain(text):
        return f"The quote is not in {source}: {evidence.text[:80]!r}."
    return missing_numbers(result.answer, evidence.text)


def check_query(evidence: Evidence, result: Result, workspace: Workspace) -> str:
    """The query returns the answer's number once more."""
    if workspace.database is None:
        return "There is no database to repeat the query on."
    try:
        rows = workspace.database.query(evidence.text).rows
    except SeedbedError as error:
        return f"The query fails: {error}"
    values = [value for row in rows for value in row]
    numbers = [float(value) for value in values if is_number(value)]
    if result.number is None or len(rows) == result.number:
        return ""
    near = any(abs(number - result.number) <= 0.006 + 1e-6 * abs(number) for number in numbers)
    scaled = any(abs(number / 100 - result.number) <= 0.006 for number in numbers)  # cents, percent
    return "" if near or scaled else f"The query does not return {result.number:,g}."


def is_number(value: object) -> bool:
    """Whether a value of a row is a number, or text that is one."""
    try:
        float(str(value))
    except ValueError:
        return False
    return True


def check_calculation(evidence: Evidence, result: Result) -> str:
    """The expression, calculated once more, has the same result."""
    try:
        again = calculate(evidence.text)
    except SeedbedError:
        return ""  # dates and units have readings that are not expressions
    if result.number is None or again.number is None:
        return ""
    same = abs(again.number - result.number) <= 0.006 + 1e-6 * abs(result.number)
    return "" if same else f"{evidence.text} is {again.text}, not {result.answer}."


def missing_numbers(answer: str, text: str) -> str:
    """The numbers of an answer that its evidence does not have, as a problem."""
    has = {number.replace(",", "") for number in _NUMBER.findall(text)}
    lacking = [n for n in _NUMBER.findall(answer) if n.replace(",", "") not in has]
    return f"The evidence does not contain {', '.join(lacking)}." if lacking else ""


def plain(text: str) -> str:
    """Words alone: white space, case and markup do not count.

    >>> plain("**30**  days")
    '30 days'
    """
    return " ".join(re.sub(r"[*_`|]", " ", text).lower().split())
