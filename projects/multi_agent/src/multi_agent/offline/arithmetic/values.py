"""Exact values with units, and the evaluator for expressions over them.

    evaluate("price * weight", {"price": quantity(4, "EUR/kg"), "weight": quantity(500, "g")})

Numbers are fractions, units come from pint, dates from the standard library. Expressions are walked
as a syntax tree of arithmetic alone; nothing is passed to `eval`.
"""

from __future__ import annotations

import ast
import calendar
import math
import operator
import statistics
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import cache
from typing import Any

from multi_agent.offline.arithmetic.phrases import CURRENCIES, DISPLAY
from seedbed.errors import BadInput

MAX_BITS = 20_000  # size of a power
MAX_DIGITS = 100  # of a rounded number, and of a factorial's argument


@cache
def _registry() -> Any:
    import pint

    registry: Any = pint.UnitRegistry(non_int_type=Fraction, on_redefinition="ignore")
    definitions = [f"{code} = [money_{code}]" for code in CURRENCIES]
    # pint's own are the Julian year of 365.25 days and the US survey acre.
    for definition in [*definitions, "year = 365 * day", "acre = 4046.8564224 * meter ** 2"]:
        registry.define(definition)
    return registry


@cache
def unit(name: str) -> Any:
    """A unit of pint by name, or a currency by its code."""
    return _registry().parse_units(name)


def quantity(number: Any, name: str = "") -> Any:
    """A number with a unit; without a name, a plain number."""
    return _registry().Quantity(Fraction(number), unit(name))


def kind(value: Any) -> str:
    """Date, Time of day, Z (a text), Number, Percent, Money, S (a duration), K (a length), X (a
    rate) or G (any other unit)."""
    if isinstance(value, date | timedelta):
        return "D" if isinstance(value, date) else "T"
    if isinstance(value, str):
        return "Z"
    units = value._units  # names and exponents
    if not units or any(exponent < 0 for exponent in units.values()):
        return "X" if units else "N"
    name = next(iter(units))
    if units[name] == 1 and len(units) == 1 and (name == "percent" or name in CURRENCIES):
        return "M" if name in CURRENCIES else "P"
    return "S" if value.check("[time]") else "K" if value.check("[length]") else "G"


def evaluate(expression: str, names: Mapping[str, Any]) -> Any:
    """The value of an arithmetic expression. Raises BadInput.

    >>> evaluate("2 ** 10 / 3", {}).m
    Fraction(1024, 3)
    """
    import pint

    try:
        return _walk(ast.parse(expression.strip(), mode="eval").body, names, expression.strip())
    except ZeroDivisionError:
        raise BadInput(f"{expression}: division by zero.") from None
    except pint.PintError:
        raise BadInput("The units do not fit together.") from None
    except (ArithmeticError, AttributeError, MemoryError, RecursionError, TypeError, ValueError):
        raise BadInput(f"{expression[:100]!r} cannot be computed.") from None
    except SyntaxError:
        raise BadInput(f"{expression[:100]!r} is not an arithmetic expression.") from None


def _walk(node: ast.expr, names: Mapping[str, Any], source: str) -> Any:
    match node:
        case ast.Constant(value=int() | float()):
            return quantity(ast.get_source_segment(source, node) or "")
        case ast.Name(id=name) if name in names:
            return names[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_walk(operand, names, source)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_walk(left, names, source), _walk(right, names, source))
        case ast.Call(func=ast.Name(id=name), args=arguments) if name in _FUNCTIONS:
            return _FUNCTIONS[name](*[_walk(argument, names, source) for argument in arguments])
    raise BadInput(f"{ast.unparse(node)[:100]!r} is not arithmetic.")


def reduced(value: Any) -> Any:
    """Without units that cancel, wholly or in part: km/h · min becomes km."""
    for name, exponent in value._units.items():
        for other, opposite in value._units.items():
            if exponent * opposite < 0 and unit(name).is_compatible_with(unit(other)):
                factor = (quantity(1, name) / quantity(1, other)) ** int(exponent)
                return reduced(value / factor * factor.to("").m)
    return value


def _power(base: Any, exponent: Any) -> Any:
    number, m = exponent.m_as(""), base.m
    if abs(number) * max(m.numerator.bit_length(), m.denominator.bit_length()) > MAX_BITS:
        raise BadInput(f"The power {m}**{number} is too large.")
    if number.denominator == 1:
        return quantity(m ** int(number)) * base.u ** int(number)
    with localcontext(prec=40):
        exact = Decimal(m.numerator) / m.denominator
        root = Fraction(exact ** (Decimal(number.numerator) / number.denominator))
    candidate = root.limit_denominator(10**6)
    is_exact = number.denominator < 10 and candidate**number.denominator == m**number.numerator
    return quantity(candidate if is_exact else root) * base.u**number


def _apply(rate: Any, value: Any) -> Any:
    """The product or the quotient of a rate and a value, whichever the units ask for."""
    top, bottom = quantity(1), quantity(1)
    for name, exponent in rate._units.items():
        top *= quantity(1, name) ** max(int(exponent), 0)
        bottom *= quantity(1, name) ** max(int(-exponent), 0)
    if value.is_compatible_with(bottom) and (value.u == bottom.u or value.u != top.u):
        return reduced(rate * value)
    if value.is_compatible_with(top):
        return reduced(value / rate)
    raise BadInput("The units do not fit together.")


def _convert(value: Any, target: Any) -> Any:
    is_price = kind(value) == "N" and kind(target) == "M"
    return value * target.u if is_price else value.to(target.u)


def _integer(value: Any) -> int:
    number = value.m_as("")
    if number.denominator != 1:
        raise BadInput(f"{number_text(number)} is not a whole number.")
    return int(number)


def _small(value: Any) -> int:
    if abs(number := _integer(value)) > MAX_DIGITS:
        raise BadInput(f"{number:,} is too large; the limit is {MAX_DIGITS}.")
    return number


def _round(value: Any, digits: Any) -> Any:
    """Half away from zero, as in school."""
    scale = Fraction(10) ** _small(digits)
    nearest = math.floor(abs(value.m) * scale + Fraction(1, 2)) / scale
    return quantity(nearest if value.m >= 0 else -nearest) * value.u


def _shift(day: date, span: Any) -> date:
    """A date later by whole days, weeks, months or years; in a short month, its last day."""
    if (name := str(span.u)) in ("month", "year"):
        months = span.m * (12 if name == "year" else 1)
        year, month = divmod(day.year * 12 + day.month - 1 + int(months), 12)
        if months.denominator == 1:
            return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))
    days = span.m_as("day")
    if days.denominator != 1:
        raise BadInput("Only whole days can be added to a date.")
    return day + timedelta(int(days))


def _clock(start: timedelta, end: timedelta) -> Any:
    """From one time of day to the next other one."""
    return quantity((end - start) % timedelta(days=1) // timedelta(minutes=1), "minute")


def _years(start: date, end: date) -> Any:
    birthday = (end.month, end.day) >= (start.month, start.day)
    return quantity(end.year - start.year - (not birthday), "year")


def _workdays(start: date, end: date) -> Any:
    days = (start + timedelta(n) for n in range((end - start).days + 1))
    return quantity(sum(day.weekday() < 5 for day in days))


def _total(values: list[Any]) -> Any:
    return sum(values[1:], values[0])


_OPERATORS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: lambda a, b: reduced(a * b),
    ast.Div: lambda a, b: reduced(a / b),
    ast.Pow: _power,
    ast.Mod: operator.mod,
    ast.FloorDiv: operator.floordiv,
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "root": lambda a, n: _power(a, 1 / n),
    "percent": lambda a: a.to("percent"),
    "total": _total,
    "average": lambda values: _total(values) / quantity(len(values)),
    "median": statistics.median,
    "product": math.prod,
    "least": min,
    "largest": max,
    "absolute": abs,
    "round": _round,
    "gcd": lambda a, b: quantity(math.gcd(*map(_integer, (a, b)))),
    "lcm": lambda a, b: quantity(math.lcm(*map(_integer, (a, b)))),
    "factorial": lambda a: quantity(math.factorial(_small(a))),
    "convert": _convert,
    "rate": operator.truediv,
    "repeat": operator.mul,
    "apply": _apply,
    "in_ratio": lambda a, b, c: " and ".join(text_of(a * n / (b + c)) for n in (b, c)),
    "days": lambda a, b: quantity(abs((b - a).days), "day"),
    "shift": _shift,
    "weekday": lambda a: calendar.day_name[a.weekday()],
    "workdays": _workdays,
    "years": _years,
    "clock": _clock,
    "later": lambda a, span: a + timedelta(minutes=float(span.m_as("minute"))),
}


def number_text(number: Fraction, decimals: int | None = None) -> str:
    """A number with separators, and ≈ if it is rounded.

    >>> number_text(Fraction(2469, 2)), number_text(Fraction(1, 3)), number_text(Fraction(5), 2)
    ('1,234.5', '≈ 0.3333', '5.00')
    """
    places = 6 if decimals is None else decimals
    is_exact = (number * 10**places).denominator == 1
    if not is_exact and decimals is None:
        places = 4 if abs(number) >= Fraction(1, 10) else 4 - math.floor(math.log10(abs(number)))
    digits = f"{Decimal(round(number * 10**places)).scaleb(-places):,.{places}f}"
    digits = digits if decimals is not None else digits.rstrip("0").rstrip(".")
    return digits if is_exact else f"≈ {digits}"


def text_of(value: Any) -> str:
    """A value as an answer: "37.5", "12 km", "€1,234.50", "15 %", "25 April 2025", "13:05"."""
    match kind(value):
        case "Z":
            return str(value)
        case "D":
            return f"{value.day} {value:%B %Y}"
        case "T":
            minutes = value // timedelta(minutes=1)
            return f"{minutes // 60 % 24:02}:{minutes % 60:02}"
        case "M":
            sign = "-" if value.m < 0 else ""
            mark, _, digits = number_text(abs(value.m), 2).rpartition(" ")
            return f"{mark} {sign}{CURRENCIES[str(value.u)]}{digits}".strip()
    top: list[str] = []
    bottom: list[str] = []
    for name, exponent in value._units.items():
        power = {1: "", 2: "²", 3: "³"}.get(abs(exponent), f"^{abs(exponent)}")
        (top if exponent > 0 else bottom).append(DISPLAY.get(name, name) + power)
    return f"{number_text(value.m)} {'/'.join(['·'.join(top), *bottom])}".strip()
