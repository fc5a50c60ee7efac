"""Checks a result against its evidence, without trusting the specialist that made it.

    verify_result(step, result, inputs, workspace)      # "" or what is wrong

A quote has to be in its document, a query to return the same again, a calculation to have the same
result; the answer has to come out of its evidence, and to be of the kind that was asked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from math import isclose
from typing import Any

from multi_agent.plan.references import fill
from multi_agent.specialists import Workspace
from multi_agent.state import Evidence, Result, Step
from multi_agent.tools.arithmetic import calculate, evaluate_expression
from seedbed.errors import SeedbedError

_COUNT = re.compile(r"\bhow (?:many|much|long|old|far|often|high|large)\b|\bpercent", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![A-Za-z_\d])\d[\d,]*(?:\.\d+)?")  # not the 1 in "s1"
_ORDER = re.compile(
    r"(?:please\s+)?(?:delete|remove|drop|cancel|send|refund|update|insert|create|change|set|buy|"
    r"book|pay|call|mail|email)\s+(?:all|every|the|this|that|these|my|our|an?|it|them|me|him|her)\b",
    re.IGNORECASE,
)
"""The beginning of a task that asks for an action, which a quote or a number does not do."""
_FIRST_ROWS = 20  # of a query; fewer than an answer lists
_NUMBER_WORDS = re.compile(
    r"\b(?:no|none|nothing|never|zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|"
    r"once|twice|half|quarter|third|free|daily|weekly|monthly|yearly|annually|every|unlimited|always|"
    r"hundred|thousand|dozen|an?|all|until|lifetime)\b",
    re.IGNORECASE,
)


def verify_result(
    step: Step, result: Result, inputs: Mapping[str, Result], workspace: Workspace
) -> str:
    """What is wrong with a result, in one line; empty if nothing is.

    `inputs` are the results that the step was given. Their evidence is checked with them.
    """
    if not result.evidence:
        return f"The {step.specialist} gave no evidence."
    if _COUNT.search(step.task) and not has_amount(result.answer):
        return f"{result.answer!r} is not an amount."
    if _ORDER.match(step.task) and not any(one.kind == "program" for one in result.evidence):
        return "The task asks for an action; this only answers a question."
    inherited = [one for earlier in inputs.values() for one in earlier.evidence]
    own = [one for one in result.evidence if one not in inherited]
    task = fill(step.task, inputs)
    if not own:  # a text about the inputs
        facts = " ".join([task, *(one.answer for one in inputs.values())])
        return missing_numbers(result.answer, facts)
    checks = (check_evidence(task, one, result, workspace) for one in own)
    return next(filter(None, checks), "")


def has_amount(text: str) -> bool:
    """Whether a text contains a number, in digits or in words.

    >>> has_amount("twice a year"), has_amount("in the lobby")
    (True, False)
    """
    return bool(re.search(r"\d", text) or _NUMBER_WORDS.search(text))


def check_evidence(task: str, evidence: Evidence, result: Result, workspace: Workspace) -> str:
    """What is wrong with one piece of evidence."""
    match evidence.kind:
        case "quote":
            return check_quote(evidence, result, workspace)
        case "query":
            return check_query(evidence, result, workspace)
        case "calculation":
            return check_calculation(task, evidence, result)
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
    """The query returns the answer once more: its number, or the texts of its first rows."""
    if workspace.database is None:
        return "There is no database to repeat the query on."
    try:
        rows = workspace.database.query(evidence.text).rows
    except SeedbedError as error:
        return f"The query fails: {error}"
    values = [value for row in rows[:_FIRST_ROWS] for value in row]
    if result.number is None:
        texts = [value for value in values if isinstance(value, str)]
        lacking = [text for text in texts if plain(text) not in plain(result.answer)]
        return f"The query returns {lacking[0]!r}, not {result.answer!r}." if lacking else ""
    if not any(isclose(as_number(value), result.number, rel_tol=1e-6) for value in values):
        return f"The query does not return {result.number:,g}."
    digits = [float(n.replace(",", "")) for n in _NUMBER.findall(result.answer)]
    near = any(isclose(n, abs(result.number), rel_tol=1e-3, abs_tol=0.006) for n in digits)
    return "" if near else f"{result.answer!r} does not contain {result.number:,g}."


def as_number(value: Any) -> float:
    """A value of a row as a number; NaN, which equals nothing, if it is not one.

    >>> as_number("12.5"), as_number("Marmot")
    (12.5, nan)
    """
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")


def check_calculation(task: str, evidence: Evidence, result: Result) -> str:
    """The task, or else the expression that a model wrote for it, has the same result once more."""
    for compute, text in ((calculate, task), (evaluate_expression, evidence.text)):
        with suppress(SeedbedError):
            again = compute(text)
            number = again.number if result.number is None else result.number
            same = again.text == result.answer and again.number == number
            return "" if same else f"{evidence.text} is {again.text}, not {result.answer}."
    return f"{evidence.text} cannot be calculated once more."


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
    return " ".join(re.sub(r"[*_`]", "", text).replace("|", " ").lower().split())
