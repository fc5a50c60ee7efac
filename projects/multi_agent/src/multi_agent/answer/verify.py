"""Checks a result against its evidence, without trusting the specialist that made it.

    verify_result(step, result, inputs, workspace)      # "" or what is wrong
    with_checks(result).evidence[0].checked             # "found in the document"

The evidence is checked, not the question: a query that returns the same result again may still
answer another question. Tools are not called again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isclose

from multi_agent.runs.state import Evidence, Result, Step, fill
from multi_agent.specialists import Workspace
from multi_agent.tools.evidence import (
    contains,
    facts_of,
    foreign_numbers,
    is_span,
    plain,
    strange_numbers,
)
from multi_agent.tools.exact import calculate
from seedbed.errors import SeedbedError

_FIRST_ROWS = 20  # of a query; fewer than an answer lists
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")


CHECKED = {
    "quote": "found in the document",
    "query": "repeated, with the same result",
    "calculation": "computed again, from the numbers of the task",
}
"""What a check of a kind of evidence shows, where it finds nothing wrong."""


def verify_result(
    step: Step, result: Result, inputs: Mapping[str, Result], workspace: Workspace
) -> str:
    """What is wrong with a result, in one line; empty if nothing is.

    `inputs` are the results that the step was given; their evidence was checked with them.
    """
    if not result.evidence:
        return f"The {step.specialist} gave no evidence."
    task = fill(step.task, inputs)
    inherited = [(one.kind, one.source, one.text) for r in inputs.values() for one in r.evidence]
    own = [one for one in result.evidence if (one.kind, one.source, one.text) not in inherited]
    if not own:  # a text about the inputs
        return missing_numbers(result.answer, facts_of(task, inputs))
    checks = (check_evidence(task, one, result, workspace) for one in own)
    return next(filter(None, checks), "")


def with_checks(result: Result) -> Result:
    """A result that was verified, whose evidence says what was checked.

    The answer to a question about documents has to be a part of its quote.
    """

    def check(one: Evidence) -> str:
        if one.checked or (one.kind == "quote" and not is_span(result.answer, one.text)):
            return one.checked
        return CHECKED.get(one.kind, "")

    evidence = tuple(one.model_copy(update={"checked": check(one)}) for one in result.evidence)
    return result.model_copy(update={"evidence": evidence})


def check_evidence(task: str, evidence: Evidence, result: Result, workspace: Workspace) -> str:
    """What is wrong with one piece of evidence, in one line; empty if nothing is."""
    match evidence.kind:
        case "quote":
            return check_quote(evidence, result, workspace)
        case "query":
            return check_query(evidence, result, workspace)
        case "calculation":
            return check_calculation(task, evidence, result)
    return ""


def check_quote(evidence: Evidence, result: Result, workspace: Workspace) -> str:
    """The quote is in the document, and has the numbers of the answer."""
    source = evidence.source.rsplit(":", 1)[0]
    passages = workspace.documents.passages if workspace.documents else []
    if not contains(" ".join(p.text for p in passages if p.source == source), evidence.text):
        return f"The quote is not in {source}: {evidence.text[:80]!r}."
    return missing_numbers(result.answer, evidence.text)


def check_query(evidence: Evidence, result: Result, workspace: Workspace) -> str:
    """The query must return the answer again: its number, or the texts of its first rows.

    It must read a table: a constant in the SELECT is not evidence.
    """
    if workspace.database is None:
        return "There is no database to repeat the query on."
    try:
        data = workspace.database.query(evidence.text)
    except SeedbedError as error:
        return f"The query fails: {error}"
    if not data.tables:
        return "The query reads no table of the database."
    values = [value for row in data.rows[:_FIRST_ROWS] for value in row]
    if result.number is None:
        texts = [value for value in values if isinstance(value, str)]
        missing = [text for text in texts if plain(text) not in plain(result.answer)]
        return f"The query returns {missing[0]!r}, not {result.answer!r}." if missing else ""
    numbers = [value for value in values if isinstance(value, int | float)]
    if not any(isclose(number, result.number, rel_tol=1e-6) for number in numbers):
        return f"The query does not return {result.number:,g}."
    return missing_number(result.answer, result.number)


def check_calculation(task: str, evidence: Evidence, result: Result) -> str:
    """The expression has the same value again, and no number that the task does not have."""
    try:
        value = calculate(evidence.text)
        strange = strange_numbers(evidence.text, task)
    except SeedbedError as error:
        return f"{evidence.text} cannot be computed again: {error}"
    if strange:
        return f"{evidence.text} has numbers that the task does not have: {strange}."
    if value["number"] is not None:
        return missing_number(result.answer, value["number"])
    return "" if value["text"] in result.answer else f"{evidence.text} is {value['text']}."


def missing_number(answer: str, number: float) -> str:
    """A problem unless an answer contains a number, within 0.1 % or 0.006 of it."""
    digits = [float(text.replace(",", "")) for text in _NUMBER.findall(answer)]
    tolerance = max(0.006, abs(number) / 1000)
    near = any(abs(one - abs(number)) <= tolerance for one in digits)
    return "" if near else f"{answer!r} does not contain {number:,g}."


def missing_numbers(answer: str, text: str) -> str:
    missing = ", ".join(foreign_numbers(answer, text))
    return f"The evidence does not contain {missing}." if missing else ""
