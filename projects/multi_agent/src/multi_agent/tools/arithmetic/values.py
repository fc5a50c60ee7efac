"""Exact values with units, and the evaluator for expressions over them.

    evaluate("price * count", {"price": quantity("4", "EUR/kg"), "count": quantity("500", "g")})

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

from multi_agent.tools.arithmetic.phrases import CURRENCIES, DISPLAY
from seedbed.errors import BadInput

MAX_BITS = 20_000
"""Size of a power, in bits of its numerator."""


@cache
def _registry() -> Any:
    import pint

    registry: Any = pint.UnitRegistry(non_int_type=Fraction)
    for code in CURRENCIES:
        registry.define(f"{code} = [money_{code}]")
    registry.define("year = 365 * day")
    registry.define("acre = 4046.8564224 * meter ** 2")
    return registry


@cache
def unit(name: str) -> Any:
    """A unit of pint by name, or a currency by its code."""
    return _registry().parse_units(name)


def quantity(number: Any, name: str = "") -> Any:
    """A number with a unit; without a name, a plain number."""
    return _registry().Quantity(Fraction(number), unit(name))


def kind(value: Any) -> str:
    """One letter: Number, Percent, Money, Seconds (a duration), K (a length), X (a rate), G (any
    other unit), Date, Time of day, Z (a text)."""
    if isinstance(value, date | timedelta):
        return "D" if isinstance(value, date) else "T"
    if isinstance(value, str):
        return "Z"
    units = value._units  # names and exponents
    if not units:
        return "N"
    if any(exponent < 0 for exponent in units.values()):
        return "X"
    if len(units) > 1 or set(units.values()) != {1}:
        return "G"
    name = next(iter(units))
    if name in CURRENCIES:
        return "M"
    if name == "percent":
        return "P"
    return "S" if value.check("[time]") else "K" if value.check("[length]") else "G"


# ── evaluation ──


def evaluate(expression: str, names: Mapping[str, Any]) -> Any:
    """The value of an arithmetic expression. Raises BadInput."""
    import pint

    try:
        return _walk(ast.parse(expression.strip(), mode="eval").body, names, expression.strip())
    except ZeroDivisionError:
        raise BadInput(f"{expression}: division by zero.") from None
    except pint.PintError:
        raise BadInput("The units do not fit together.") from None
    except (TypeError, ValueError, AttributeError):
        raise BadInput(f"{expression[:100]!r} cannot be computed.") from None
    except (SyntaxError, RecursionError, MemoryError):
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
        case ast.Call(func=ast.Name(id=name), args=arguments) if name in FUNCTIONS:
            return FUNCTIONS[name](*[_walk(argument, names, source) for argument in arguments])
    raise BadInput(f"{ast.unparse(node)[:100]!r} is not arithmetic.")


def _reduced(value: Any) -> Any:
    """Without units that cancel, wholly or in part: km/h · min becomes km."""
    for name, exponent in value._units.items():
        for other, opposite in value._units.items():
            if exponent * opposite < 0 and unit(name).is_compatible_with(unit(other)):
                factor = quantity(1, name) / quantity(1, other)
                number = (factor**int(exponent)).to("").m
                return _reduced(value / factor ** int(exponent) * number)
    return value


def _power(base: Any, exponent: Any) -> Any:
    number = exponent.m_as("")
    if abs(number) * max(base.m.numerator.bit_length(), base.m.denominator.bit_length()) > MAX_BITS:
        raise BadInput(f"The power {base.m}**{number} is too large.")
    if number.denominator != 1:
        with localcontext() as context:
            context.prec = 40
            root = (Decimal(base.m.numerator) / base.m.denominator) ** (
                Decimal(number.numerator) / number.denominator
            )
        return quantity(_exact_root(Fraction(root), base.m, number)) * base.u**number
    return quantity(base.m ** int(number)) * base.u ** int(number)


def _exact_root(root: Fraction, base: Fraction, exponent: Fraction) -> Fraction:
    candidate = root.limit_denominator(10**6)
    return candidate if candidate**exponent.denominator == base**exponent.numerator else root


_OPERATORS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: lambda a, b: _reduced(a * b),
    ast.Div: lambda a, b: _reduced(a / b),
    ast.Pow: _power,
    ast.Mod: operator.mod,
    ast.FloorDiv: operator.floordiv,
}


# ── functions ──


def _apply_rate(rate: Any, value: Any) -> Any:
    """The product or the quotient of a rate and a value, whichever the units ask for."""
    top, bottom = quantity(1), quantity(1)
    for name, exponent in rate._units.items():
        if exponent > 0:
            top *= quantity(1, name) ** int(exponent)
        else:
            bottom *= quantity(1, name) ** int(-exponent)
    same_bottom, same_top = value.u == bottom.u, value.u == top.u
    if same_bottom or (value.is_compatible_with(bottom) and not same_top):
        return _reduced(rate * value)
    if value.is_compatible_with(top):
        return _reduced(value / rate)
    raise BadInput("The units do not fit together.")


def _round(value: Any, digits: Any) -> Any:
    """Half away from zero, as in school; `digits` after the decimal point, negative before it."""
    scale = Fraction(10) ** int(digits.m)
    nearest = math.floor(abs(value.m) * scale + Fraction(1, 2)) / scale
    return quantity(nearest if value.m >= 0 else -nearest) * value.u


def shift(day: date, span: Any) -> date:
    """A date later by whole days, weeks, months or years; the end of a shorter month counts."""
    name = str(span.u)
    if name in ("month", "year"):
        months = span.m * (12 if name == "year" else 1)
        if months.denominator == 1:
            year, month = divmod(day.year * 12 + day.month - 1 + int(months), 12)
            last = calendar.monthrange(year, month + 1)[1]
            return date(year, month + 1, min(day.day, last))
    days = span.m_as("day")
    if days.denominator != 1 or abs(days) > 1_000_000:
        raise BadInput("Only whole days can be added to a date.")
    return day + timedelta(int(days))


def _workdays(start: date, end: date) -> Any:
    days = (start + timedelta(n) for n in range((end - start).days + 1))
    return quantity(sum(day.weekday() < 5 for day in days))


def _years(start: date, end: date) -> Any:
    return quantity(end.year - start.year - ((end.month, end.day) < (start.month, start.day)), "year")


def _clock(start: timedelta, end: timedelta) -> Any:
    """From one time of day to the next other one."""
    minutes = (end - start) % timedelta(days=1) / timedelta(minutes=1)
    return quantity(int(minutes), "minute")


def _later(start: timedelta, span: Any) -> timedelta:
    return start + timedelta(minutes=float(span.m_as("minute")))


def _convert(value: Any, target: Any) -> Any:
    money = kind(value) == "N" and kind(target) == "M"
    return value * target.u if money else value.to(target.u)


def _interest(capital: Any, rate: Any, span: Any) -> Any:
    """Interest of up to a year, which compounding does not change."""
    years = (span / quantity(1, "year")).to("")
    if years.m > 1:
        raise BadInput("Simple or compound interest?")
    return capital * rate * years


def _add_up(values: list[Any]) -> Any:
    return sum(values[1:], values[0])


def _whole(value: Any) -> Any:
    if (number := value.to("").m).denominator != 1:
        raise BadInput(f"{number_text(number)} is not a whole number.", hint="Round up or down?")
    return quantity(number)


def _ambiguous() -> Any:
    raise BadInput("The order of the operations is ambiguous.", hint="Use brackets.")


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "sqrt": lambda a: _power(a, quantity(Fraction(1, 2))),
    "root": lambda a, n: _power(a, 1 / n),
    "percent": lambda a: a.to("percent"),
    "total": _add_up,
    "average": lambda values: _add_up(values) / quantity(len(values)),
    "median": statistics.median,
    "product": math.prod,
    "least": min,
    "largest": max,
    "spread": lambda values: max(values) - min(values),
    "count": lambda values: quantity(len(values)),
    "round": _round,
    "absolute": abs,
    "ceiling": lambda a: quantity(math.ceil(a.m)) * a.u,
    "gcd": lambda a, b: quantity(math.gcd(int(a.m_as("")), int(b.m_as("")))),
    "lcm": lambda a, b: quantity(math.lcm(int(a.m_as("")), int(b.m_as("")))),
    "convert": _convert,
    "rate": lambda a, b: a / b,
    "apply": _apply_rate,
    "apply_rates": lambda a, b: _reduced(a * b),
    "days": lambda a, b: quantity(abs((b - a).days), "day"),
    "shift": shift,
    "back": lambda a, b: shift(a, -b),
    "weekday": lambda a: calendar.day_name[a.weekday()],
    "workdays": _workdays,
    "years": _years,
    "clock": _clock,
    "later": _later,
    "earlier": lambda a, b: _later(a, -b),
    "proportion": lambda a, b, c: _reduced(b * c / a),
    "largest_of": max,
    "least_of": min,
    "in_ratio": lambda a, b, c: " and ".join(text_of(a * n / (b + c)) for n in (b, c)),
    "short_interest": lambda a, rate, span: _interest(a, rate, span),
    "whole": _whole,
    "nearest": lambda a, to: _round(a.to(to.u), quantity(0)),
    "factorial": lambda a: quantity(math.factorial(min(int(a.m_as("")), 1000))),
    "ambiguous": _ambiguous,
}


# ── text ──


def number_text(number: Fraction, decimals: int | None = None) -> str:
    """A number with separators, and ≈ if it is rounded.

    >>> number_text(Fraction(2469, 2)), number_text(Fraction(1, 3)), number_text(Fraction(5), 2)
    ('1,234.5', '≈ 0.3333', '5.00')
    """
    places = decimals if decimals is not None else 6
    scaled = number * 10**places
    if scaled.denominator != 1 and decimals is None:
        places = 4 if abs(number) >= Fraction(1, 10) else 4 - math.floor(math.log10(abs(number)))
    mark = "" if scaled.denominator == 1 else "≈ "
    digits = f"{Decimal(round(number * 10**places)).scaleb(-places):,.{places}f}"
    return mark + (digits.rstrip("0").rstrip(".") if decimals is None and places else digits)


def text_of(value: Any) -> str:
    """A value as an answer: "37.5", "12 km", "€1,234.50", "15 %", "2025-04-25"."""
    if isinstance(value, str):
        return value
    if isinstance(value, timedelta):
        minutes = round(value / timedelta(minutes=1))
        return f"{minutes // 60 % 24:02}:{minutes % 60:02}"
    if isinstance(value, date):
        return f"{value.day} {value:%B %Y}"
    letter = kind(value)
    if letter == "M":
        code = str(value.u)
        number = number_text(value.m, 2)
        mark, digits = ("≈ ", number[2:]) if number.startswith("≈") else ("", number)
        return f"{mark}{'-' if value.m < 0 else ''}{CURRENCIES[code]}{digits.lstrip('-')}"
    return f"{number_text(value.m)} {unit_text(value)}".strip()


def unit_text(value: Any) -> str:
    """The unit of a quantity: "km/h", "m²"."""
    sides: dict[bool, list[str]] = {True: [], False: []}
    for name, exponent in value._units.items():
        power = {1: "", 2: "²", 3: "³"}.get(abs(exponent), f"^{abs(exponent)}")
        sides[exponent > 0].append(DISPLAY.get(name, name) + power)
    return "/".join(["·".join(sides[True]), *sides[False]])
