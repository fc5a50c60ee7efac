"""Reads a task: phrases are replaced by their terms until one is left.

    to_expression("A coat of €80 is reduced by a quarter. What does it cost now?").text
    # "80 * (1 - 1 / 4)"

Nothing is guessed: a number or a word that no phrase accounts for is a Refusal.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from functools import cache

from multi_agent.brain import Expression, Refusal
from multi_agent.offline.arithmetic.rules import RULES
from multi_agent.offline.arithmetic.terms import DATE, PART, Term
from multi_agent.offline.arithmetic.tokens import Tokens, tokenize
from multi_agent.offline.arithmetic.words import DECISIVE, GROUPS, NEUTRAL
from multi_agent.tools.exact import evaluate
from seedbed.errors import BadInput

MAX_TASK = 1_000  # characters
_BRACKETS = re.compile(r"(?<!\S)open ((?:(?!open )\S+ )*?)close ")
_TERM = re.compile(r"[A-Z]\d+")
_CLASSES = {"A": "[NMQG]", "B": "[NM]", "C": "[NG]", "S": "[PF]", "V": "[NMQGPF]"}
_VALUE = rf"{_CLASSES['V']}\d+ "
_PARTS = {
    **{"[": "(?:", "(": "(?:", "]": ")?", ")": ")", "|": "|", "{": "(", "}": ")"},
    "~": r"(?:(?:the|a|an|my|our) )?(?:_\S+ ){1,3}",
    "T": r"(?P<thing>(?:_\S+ ){1,3})",
    "=": "(?P=thing)",
    "L": rf"({_VALUE}(?:(?:, and |, |and ){_VALUE})+)",
}


def to_expression(task: str) -> Expression:
    """The expression of a task. Raises Refusal, which quotes what was not understood.

    >>> to_expression("How much do 7 tickets at 12.50 euros cost?")
    Expression(text='7 * 12.5', unit='EUR', reading='')
    """
    tokens = _tokens(task)
    while _reduce(tokens):
        pass
    return _expression(tokens, task)


def looks_like_arithmetic(task: str) -> float:
    """How likely the calculator can do a task, 0 to 1.

    >>> looks_like_arithmetic("What is 15 % of 240?"), looks_like_arithmetic("Who is our CEO?")
    (0.95, 0.0)
    """
    is_partly_read = False
    try:
        tokens = _tokens(task)
        while _reduce(tokens):
            is_partly_read = True
        _expression(tokens, task)
        return 0.95
    except Refusal:
        return 0.3 if is_partly_read else 0.0


def _tokens(task: str) -> Tokens:
    if len(task) > MAX_TASK:
        raise Refusal(f"The task has {len(task):,} characters; the limit is {MAX_TASK:,}.")
    return tokenize(task, _vocabulary())


def _reduce(tokens: Tokens) -> bool:
    """Replace the first phrase that fits by its term, within the innermost brackets."""
    brackets = _BRACKETS.search(tokens.text)
    start, end = brackets.span(1) if brackets else (0, len(tokens.text))
    if brackets and brackets[1].strip() in tokens.terms:
        tokens.text = f"{tokens.text[: start - 5]}{brackets[1]}{tokens.text[brackets.end() :]}"
        return True
    for pattern, function in _rules():
        if match := pattern.search(tokens.text, start, end):
            if function is None:
                raise Refusal(f"Ambiguous without brackets: {_shown(tokens, match[0])}.")
            slots = [slot for slot in match.groups() if slot]
            names = [name for slot in slots for name in _TERM.findall(slot) or [slot.strip()]]
            name = tokens.add(function(*(tokens.terms.get(name, name) for name in names)))
            tokens.text = f"{tokens.text[: match.start()]}{name}{tokens.text[match.end() :]}"
            return True
    return False


def _expression(tokens: Tokens, task: str) -> Expression:
    """The expression of the only term left. Raises Refusal."""
    words = tokens.text.split()
    names = [word for word in words if word in tokens.terms]
    left = [word for word in words if word not in NEUTRAL and word not in names[:1]]
    if left:
        shown = dict.fromkeys(repr(_shown(tokens, word)) for word in left)
        raise Refusal(f"Not understood: {', '.join(shown)}.")
    term = tokens.terms[names[0]] if names else Term("")
    if re.fullmatch(r"\W*[\d.]*\W*", term.text):
        raise Refusal("There is nothing to compute.")
    try:
        evaluate(term.text)
    except BadInput as error:
        raise Refusal(error.message) from None
    spelled = re.search(rf"(?<!\w){re.escape(term.unit)}(?!\w)", task, re.IGNORECASE)
    unit = "" if term.unit in (DATE, PART) else spelled[0] if spelled else term.unit
    return Expression(ast.unparse(ast.parse(term.text)), unit)


def _shown(tokens: Tokens, text: str) -> str:
    """Words as the task has them."""
    words = [tokens.terms[w].text if w in tokens.terms else w.lstrip("_") for w in text.split()]
    return " ".join(words)


@cache
def _vocabulary() -> frozenset[str]:
    """Every word with a meaning of its own; others are names of things."""
    phrases = " ".join(_expanded(phrase) for phrase, _ in RULES)
    return NEUTRAL | DECISIVE | set(re.findall(r"[a-z]+", phrases))


@cache
def _rules() -> list[tuple[re.Pattern[str], Callable[..., Term] | None]]:
    return [(_pattern(_expanded(phrase)), function) for phrase, function in RULES]


def _expanded(phrase: str) -> str:
    """A phrase with the words of its groups."""
    return re.sub(r"<(\w+)>", lambda match: f"({_expanded(GROUPS[match[1]])})", phrase)


def _pattern(phrase: str) -> re.Pattern[str]:
    """`[the] sum of L` as a regular expression over words that each end with a space."""
    parts = []
    for part in re.findall(r"[][(){}|~=]|[^][(){}|~=\s]+", phrase):
        slot = rf"({_CLASSES.get(part, part)}\d+) " if part.isupper() else f"{re.escape(part)} "
        parts.append(_PARTS.get(part, slot))
    return re.compile(rf"(?<!\S){''.join(parts)}")
