"""Exact arithmetic: expressions over numbers and dates, evaluated as fractions.

    calculate("279 * (1 - 20 / 100)")["text"]                     # "223.2"
    calculate("days('2025-03-01', '2025-04-15')")["text"]         # "45"
    calculate("shift('2025-01-31', months=1)")["text"]            # "2025-02-28"

An expression may come from a model: it is walked as a syntax tree of arithmetic alone, and nothing
is passed to `eval`. Its cost is bounded.
"""

from __future__ import annotations

import ast
import calendar
import math
import operator
import statistics
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from seedbed.errors import BadInput

MAX_LENGTH = 1_000  # characters of an expression
MAX_BITS = 20_000  # size of a power
MAX_EXPONENT = 300  # of ten, in a number and in a result


def calculate(expression: str) -> dict[str, Any]:
    """Compute an arithmetic expression exactly. Raises BadInput that quotes what is wrong.

    The result is a `text`, which begins with ≈ if it is rounded, and a `number`; None for a date.

    >>> calculate("2 ** 10 / 3")
    {'text': '≈ 341.3333', 'number': 341.3333333333333}
    """
    tree, shown = _parse(expression), repr(expression[:100])
    try:
        value = _walk(tree, expression.strip())
    except ZeroDivisionError:
        raise BadInput(f"{shown}: division by zero.") from None
    except (ArithmeticError, AttributeError, MemoryError, RecursionError, TypeError, ValueError):
        raise BadInput(f"{shown} cannot be computed.") from None
    if isinstance(value, date):
        return {"text": value.isoformat(), "number": None}
    if not isinstance(value, Fraction):
        raise BadInput(f"{shown} is not a number or a date.")
    bound = Fraction(10) ** MAX_EXPONENT
    if value and not 1 / bound < abs(value) < bound:
        raise BadInput(f"The result of {shown} is out of range.")
    return {"text": number_text(value), "number": float(value)}


def numbers_of(expression: str) -> set[Fraction]:
    """The numbers that an expression is made of. Raises BadInput."""
    constants = [node for node in ast.walk(_parse(expression)) if isinstance(node, ast.Constant)]
    numbers = [node for node in constants if isinstance(node.value, int | float)]
    return {_number(node, expression.strip()) for node in numbers}


def number_text(number: Fraction) -> str:
    """A number with separators, and ≈ if it is rounded.

    >>> number_text(Fraction(2469, 2)), number_text(Fraction(1, 3)), number_text(Fraction(1, 3000))
    ('1,234.5', '≈ 0.3333', '≈ 0.00033333')
    """
    places = 6
    is_exact = (number * 10**places).denominator == 1
    if not is_exact:
        places = 4 if abs(number) >= Fraction(1, 10) else 4 - math.floor(math.log10(abs(number)))
    digits = f"{Decimal(round(number * 10**places)).scaleb(-places):,.{places}f}"
    return ("" if is_exact else "≈ ") + digits.rstrip("0").rstrip(".")


def _parse(expression: str) -> ast.expr:
    text = expression.strip()
    if len(text) > MAX_LENGTH:
        raise BadInput(f"The expression has {len(text):,} characters; the limit is {MAX_LENGTH:,}.")
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise BadInput(f"{text[:100]!r} is not an arithmetic expression.") from None


def _walk(node: ast.expr, source: str) -> Any:
    match node:
        case ast.Constant(value=int() | float()):
            return _number(node, source)
        case ast.Constant(value=str(text)):  # a date
            return text
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_walk(operand, source)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            values = _walk(left, source), _walk(right, source)
            if not all(isinstance(value, Fraction) for value in values):
                raise BadInput("Dates are computed with days() and shift().")
            return _OPERATORS[type(op)](*values)
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=keywords) if (
            name in _FUNCTIONS
        ):
            named = {str(word.arg): _walk(word.value, source) for word in keywords}
            return _FUNCTIONS[name](*[_walk(one, source) for one in arguments], **named)
    raise BadInput(f"{ast.unparse(node)[:100]!r} is not arithmetic.")


def _number(node: ast.Constant, source: str) -> Fraction:
    literal = (ast.get_source_segment(source, node) or "").replace("_", "")
    if abs(Decimal(literal).adjusted()) > MAX_EXPONENT:  # 1e999999999 would fill the memory
        raise BadInput(f"{literal[:20]} is out of range.")
    return Fraction(literal)


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    if abs(exponent) * max(base.numerator.bit_length(), base.denominator.bit_length()) > MAX_BITS:
        raise BadInput(f"The power {base}**{exponent} is too large.")
    if exponent.denominator == 1:
        return base ** int(exponent)
    return Fraction(float(base) ** float(exponent))


def _round(value: Fraction, digits: Fraction = Fraction(0)) -> Fraction:
    """Half away from zero, as in school."""
    scale = _power(Fraction(10), Fraction(int(digits)))
    nearest = math.floor(abs(value) * scale + Fraction(1, 2)) / scale
    return nearest if value >= 0 else -nearest


def _date(value: str | date) -> date:
    return value if isinstance(value, date) else date.fromisoformat(value)


def _shift(
    day: str | date, days: Fraction = Fraction(0), weeks: Fraction = Fraction(0),
    months: Fraction = Fraction(0), years: Fraction = Fraction(0),
) -> date:  # fmt: skip
    """A date later by whole days, weeks, months or years; in a short month, its last day."""
    if any(amount.denominator != 1 for amount in (days, weeks, months, years)):
        raise BadInput("A date can be shifted by whole days, weeks, months or years.")
    start = _date(day)
    year, month = divmod(start.year * 12 + start.month - 1 + int(months + 12 * years), 12)
    last = calendar.monthrange(year, month + 1)[1]
    return date(year, month + 1, min(start.day, last)) + timedelta(int(days + 7 * weeks))


_OPERATORS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: _power,
    ast.Mod: operator.mod,
    ast.FloorDiv: lambda a, b: Fraction(a // b),
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "sum": lambda *values: sum(values, Fraction(0)),
    "average": lambda *values: sum(values, Fraction(0)) / len(values),
    "median": lambda *values: statistics.median(values),
    "min": min,
    "max": max,
    "abs": abs,
    "round": _round,
    "ceil": lambda value: Fraction(math.ceil(value)),
    "floor": lambda value: Fraction(math.floor(value)),
    "sqrt": lambda value: _power(value, Fraction(1, 2)),
    "days": lambda start, end: Fraction((_date(end) - _date(start)).days),
    "shift": _shift,
}
