"""Reads a task: a formula of numbers, or one phrase of `rules.py`.

    to_expression("A coat of €80 is reduced by a quarter. What does it cost now?").text
    # "80 * (1 - 1 / 4)"

Nothing is guessed: a number or a word that is not accounted for is a Refusal, and so is a phrase
about the result of another one, whose order words leave open.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from functools import cache

from multi_agent.brain import Expression, Refusal
from multi_agent.offline.arithmetic.rules import DECISIVE, GROUPS, NEUTRAL, RULES
from multi_agent.offline.arithmetic.terms import PART, Term
from multi_agent.offline.arithmetic.tokens import Tokens, tokenize
from multi_agent.tools.exact import evaluate
from seedbed.errors import BadInput

MAX_TASK = 1_000  # characters
_OPERATORS = {"plus": "+", "minus": "-", "times": "*", "over": "/", "power": "**"}
_OPERATORS |= {"open": "(", "close": ")"}
_FORMULA = re.compile(rf"(?:(?:N\d+|{'|'.join(_OPERATORS)}) ){{3,}}")
_TERM = re.compile(r"[A-Z]\d+")
_CLASSES = {"A": "[NMQG]", "B": "[NM]", "C": "[NG]", "S": "[PF]", "V": "[NMQGPF]"}
_VALUE = rf"{_CLASSES['V']}\d+ "
_PARTS = {
    **{"[": "(?:", "(": "(?:", "]": ")?", ")": ")", "|": "|", "{": "(", "}": ")"},
    "~": r"(?:(?:the|a|an|my|our) )?(?:_\S+ ){1,3}",
    "T": r"((?:_\S+ ){1,3})",
    "L": rf"({_VALUE}(?:(?:, and |, |and ){_VALUE})+)",
}


def to_expression(task: str) -> Expression:
    """The expression of a task. Raises Refusal, which quotes what was not understood.

    >>> to_expression("How much do 7 tickets cost at 12.50 euros?")
    Expression(text='7 * 12.5', unit='EUR', reading='')
    """
    if len(task) > MAX_TASK:
        raise Refusal(f"The task has {len(task):,} characters; the limit is {MAX_TASK:,}.")
    # 1. Its numbers, amounts and shares
    tokens = tokenize(task, _vocabulary())
    # 2. What is computed of them: all of them have to be in one formula, or in one phrase
    term = _formula(tokens) or _phrase(tokens)
    # 3. Whether it can be computed
    try:
        evaluate(term.text)
    except BadInput as error:
        raise Refusal(error.message) from None
    unit = "" if term.unit == PART else term.unit
    return Expression(ast.unparse(ast.parse(term.text)), unit)


def looks_like_arithmetic(task: str) -> float:
    """How sure the calculator is to have an answer, 0 to 1.

    >>> looks_like_arithmetic("What is 15 % of 240?"), looks_like_arithmetic("Who is our CEO?")
    (0.95, 0.0)
    """
    try:
        to_expression(task)
    except Refusal:
        return 0.0
    return 0.95


def _formula(tokens: Tokens) -> Term | None:
    """Numbers with operators and brackets; None if there is something else in the task."""
    match = _FORMULA.search(tokens.text)
    if match is None or not _is_all(tokens, match):
        return None
    parts = [_OPERATORS.get(w) or tokens.terms[w].text for w in match[0].split()]
    try:
        ast.parse(text := " ".join(parts), mode="eval")
    except SyntaxError:
        raise Refusal(f"{text!r} is not a formula.") from None
    return Term(text)


def _phrase(tokens: Tokens) -> Term:
    """The first phrase that accounts for everything. Raises Refusal."""
    problem = ""
    for pattern, function in _rules():
        for match in pattern.finditer(tokens.text):
            if not _is_all(tokens, match):
                continue
            slots = [slot for slot in match.groups() if slot]
            names = [name for slot in slots for name in _TERM.findall(slot) or [slot.strip()]]
            try:
                return function(*(tokens.terms.get(name, name) for name in names))
            except Refusal as error:
                problem = problem or error.message
    if problem:
        raise Refusal(problem)
    left = [word.lstrip("_") for word in tokens.text.split() if word not in NEUTRAL]
    if len(left) < 2:
        raise Refusal("There is nothing to compute.")
    shown = (tokens.terms[word].text if word in tokens.terms else word for word in left)
    raise Refusal(f"Not understood: {', '.join(map(repr, shown))}.")


def _is_all(tokens: Tokens, match: re.Match[str]) -> bool:
    """Whether the words around a match change nothing."""
    around = f"{tokens.text[: match.start()]} {tokens.text[match.end() :]}"
    return NEUTRAL.issuperset(around.split())


@cache
def _vocabulary() -> frozenset[str]:
    """Every word with a meaning of its own; others are names of things."""
    phrases = " ".join(_expanded(phrase) for phrase, _ in RULES)
    return NEUTRAL | DECISIVE | _OPERATORS.keys() | set(re.findall(r"[a-z]+", phrases))


@cache
def _rules() -> list[tuple[re.Pattern[str], Callable[..., Term]]]:
    return [(_pattern(_expanded(phrase)), function) for phrase, function in RULES]


def _expanded(phrase: str) -> str:
    """A phrase with the words of its groups."""
    return re.sub(r"<(\w+)>", lambda match: f"({_expanded(GROUPS[match[1]])})", phrase)


def _pattern(phrase: str) -> re.Pattern[str]:
    """`[the] sum of L` as a regular expression over words that each end with a space."""
    parts = []
    for part in re.findall(r"[][(){}|~]|[^][(){}|~\s]+", phrase):
        slot = rf"({_CLASSES.get(part, part)}\d+) " if part.isupper() else f"{re.escape(part)} "
        parts.append(_PARTS.get(part, slot))
    return re.compile(rf"(?<!\S){''.join(parts)}")
