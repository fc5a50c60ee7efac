"""Phrases, in order of precedence, each with the term that it stands for.

`[x]` is optional, `(x|y)` a choice, `{x|y}` one for the function, `<name>` a group of words.toml,
and `~` one to three unknown words, which name a thing. Capitals are terms for the function: N a
plain number, P a percentage, F a fraction, M money, Q a quantity, G a count of things, D a date, U
a unit alone; A is NMQG, S is PF, V any of these, B is NM, C is NG; L a list of V, and T a thing as
text, which is repeated at `=`. A phrase without a function is ambiguous.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import add, mod, mul, pow, sub, truediv
from typing import Any

from multi_agent.brain import Refusal
from multi_agent.offline.arithmetic.terms import PERCENT, Term, alike, call, convert, shift
from multi_agent.offline.arithmetic.words import GROUPS

_WORDS = {name: words.split("|") for name, words in GROUPS.items()}
_OPERATORS: dict[str, Callable[[Term, Term], Term]] = {
    **dict.fromkeys(["plus", "add", *_WORDS["raised"], *_WORDS["rise"], *_WORDS["more"]], add),
    **dict.fromkeys(["minus", *_WORDS["lowered"], *_WORDS["fall"], *_WORDS["less"]], sub),
    **dict.fromkeys(_WORDS["subtract"], sub),
    **{"times": mul, "multiply": mul, "over": truediv, "divide": truediv, "mod": mod},
}


def _apply(*slots: Any) -> Term:
    """Two terms, and the word of an operator before or between them."""
    (word,) = [slot for slot in slots if isinstance(slot, str)]
    return _OPERATORS[word](*[slot for slot in slots if isinstance(slot, Term)])


def _reversed(*slots: Any) -> Term:
    """5 less than 20; subtract 5 from 20."""
    return _apply(*reversed(slots))


def _itself(term: Term) -> Term:
    return term


def _ratio(part: Term, whole: Term) -> Term:
    """What percentage the first is of the second."""
    return (part / whole * Term("100")).to(PERCENT)


def _change(word: str, start: Term, end: Term) -> Term:
    """By what percentage something rose or fell, which is positive if it did what the word says."""
    start, end = alike(start, end)  # from 40 to 50 euros
    return _ratio(start - end if _OPERATORS.get(word) is sub else end - start, start)


def _price(thing: str, price: Term, count: Term) -> Term:
    """A ticket costs 12.50 euros; how much do 7 tickets cost?"""
    if not count.unit.startswith(thing.rpartition("_")[2]):
        raise Refusal(f"The price is not that of {count.unit}.")
    return count * price


def _priced(count: Term, price: Term) -> Term:
    """3 shirts at 20 each are 60, and not 60 shirts."""
    return count.to("") * price


def _days(unit: Term, *dates: Term) -> Term:
    first, last = sorted(day.text for day in dates)
    return convert(Term(f"days({first}, {last})", "days"), unit.unit)


def _net(price: Term, tax: Term) -> Term:
    return price / (Term("1") + tax.factor)


def _compound(a: Term, b: Term) -> Term:
    """3 hours and 20 minutes, in minutes; two lengths in metres are two answers."""
    if a.unit == b.unit:
        raise Refusal(f"Not understood: {a.text} and {b.text} {b.unit}.")
    return convert(a, b.unit) + b


def _rounded(term: Term, digits: Term) -> Term:
    return Term(f"round({term.text}, {digits.text})", term.unit)


_OF = "[of] [the|these] [following] [numbers|values] [,]"
_DOES = "(how much|what) (do|does|is|are|will|would)"
_CHANGED = "<thing> [has|is|was] {<changed>} from A to A"
_EACH = "(does|do|must|will) each [of (them|us)|of ~|person|~] <pay>"
_PAYS = f"(how much|what) ({_EACH}|is (it|that) <each>)"
_PRICE = "what (is|will be|would be) ([the|its] [<new>] (price|cost|total)|the <new> ~)"
_ASKED = (
    f"[,|.] [and] ({_PRICE}|{_DOES} (it|i|we|they) (cost|pay)|how much is (it|that)) [now|then]"
)
_ROUND = "(round V|V [,|.] [and] (round|rounded) [it|that])"
_THEN = "[take|start with|begin with] V [,|.] [and|now] [then]"
_IT = "[it|that|this|the result]"

RULES: list[tuple[str, Callable[..., Term] | None]] = [
    # Ambiguous without brackets
    ("(sum|total|average|mean|median|product|difference) (of|between) L <operator>", None),
    ("(square root of V <operator>|V power V power)", None),
    ("(F of [the|a|an|my|our] V|(twice|double) V) (plus|minus)", None),
    ("(<operator> V (<raised>|<lowered>|off|with|after|less|more)|S off A <operator>)", None),
    ("(<raised>|<lowered>|<order>) (L|V|[V] <preposition> V) <operator>", None),
    # Lists and pairs
    (f"([the] (sum|total) {_OF}|add [up]) L [together|up]", lambda *terms: call("sum", *terms)),
    (f"[the] (average|mean) {_OF} L", lambda *terms: call("average", *terms)),
    (f"[the] median {_OF} L", lambda *terms: call("median", *terms)),
    (f"[the] (maximum|largest|biggest|highest) {_OF} L", lambda *terms: call("max", *terms)),
    (f"[the] (minimum|smallest|lowest) {_OF} L", lambda *terms: call("min", *terms)),
    (f"[the] product {_OF} L", lambda *terms: reduce(mul, terms)),
    ("[the] difference (between|of) V and V", lambda *terms: call("abs", sub(*alike(*terms)))),
    # Percentages of what, and changes
    ("<what_share> (is|are) A [out] of A", _ratio),
    ("<what_share> of A (is|are) A", lambda whole, part: _ratio(part, whole)),
    ("A (is|are) <what_share> of A", _ratio),
    ("A as [a|the] <percentage> of A", _ratio),
    ("A [out] of A (as a <percentage>|in percent|(is|are) <what_share>)", _ratio),
    ("A [out] of A [~] [,|.] <what_share> is (that|this|it)", _ratio),
    ("A is P of (what|which) [number|amount]", truediv),
    ("P of (what|which) [number|amount] is A", lambda share, part: part / share),
    ("<percentage> {change|<rise>|<fall>} (from|between) A (to|and) A", _change),
    ("{change|<rise>|<fall>} in percent (from|between) A (to|and) A", _change),
    (f"{_CHANGED} [,|.] <by_how_much> (did|has|was) (it|they|~) (<changed>)", _change),
    (f"{_CHANGED} [,|.] what is the <percentage> (change|<changed>)", _change),
    ("<by_how_much> did <thing> {<rise>|<fall>} from A to A", _change),
    # Powers, roots, brackets
    ("(V squared|[the] square of V)", lambda a: a ** Term("2")),
    ("(V cubed|[the] cube of V)", lambda a: a * a * a),
    ("V ([raised] to the power [of]|power) N", pow),
    ("[the] square root of N", lambda a: call("sqrt", a)),
    # Shares
    ("Q [and] Q", _compound),
    ("N over N of [the] A", lambda a, b, whole: a / b * whole),
    ("(of V [,] S|S of [the|our] V) T [.|,] how (many|much) ([~] =|(is|are) (that|it|they))",
     lambda a, b, _thing: a * b),
    ("S of [the|a|an|my|our] V", mul),
    ("F [of] (a|an) (U|N)", mul),
    ("(twice|double) V", lambda a: Term("2") * a),
    # Prices: of several, shared, with a discount or a tax
    (f"[<a>] T (cost|costs|weighs) A [<each>] [,|.] {_DOES} G (cost|weigh)", _price),
    (f"{_DOES} G (cost|weigh) (if|when) [<a>] T (cost|costs|weighs) A [<each>]",
     lambda count, thing, price: _price(thing, price, count)),
    (f"({_DOES} G cost at B [<each>]|C (at|for|cost|costing) B <each>|G at M)", _priced),
    ("(a|an) M ~", _itself),
    ("<a> (~|price) (of|costs|cost|is|was|costing) M", _itself),
    (f"(<split> V|V is <shared>) [<evenly>] <among> C [<evenly>] [[,|.] {_PAYS}]", truediv),
    (f"C <split> V [<evenly>] [,|.] {_PAYS}", lambda count, whole: whole / count),
    ("[the] net <price> (is|of) M . what is the gross <price> <plus> P <tax>", add),
    ("M [.] [there is|with|less] [a] S <discount> [,|.] how much (do|would) (i|we|you) save", mul),
    ("<price> <with> P <tax> is M . what is the <net>", lambda tax, price: _net(price, tax)),
    ("<net> of M (including|at|with) P <tax>", _net),
    (f"B [(before|without|excluding) <tax>] {_ASKED} (with|including|plus|at) P <tax>", add),
    ("[[the] (gross|total|final) <price> of] B <plus> [a] P <tax>", add),
    ("P <tax> on B", mul),
    ("<tax> on B (at|of) P", mul),
    (f"B [cost|{_ASKED}] (after|with|less|minus|at) [a|the] (S <discount>|<discount> of S)", sub),
    (f"B [cost|{_ASKED}] (after|with) (a|an|the) (S (increase|rise)|(increase|rise) of S)", add),
    ("M . (there is|we get|you get) [a] S <discount>", sub),
    ("S off [of] A", lambda share, whole: whole - share),
    # Changes
    ("V [and|,|.] [it|the price] [is|are|was|gets] [now|then] {<changed>} by V", _apply),
    ("{<raised>|<lowered>} V by V", _apply),
    ("what is V {<more>|<less>} than V", _reversed),
    # Operators, orders
    ("[the] remainder (when|if|of) V (is over|over) V", mod),
    ("V [,] {times|over|mod} V", _apply),
    ("(V|D) [,] {plus|minus} V", _apply),
    ("{multiply|divide} V (by|with) V", _apply),
    ("{add|<subtract>} V [<tax>] (to|from|off) (V|D)", _reversed),
    (f"{_THEN} ({{add|<subtract>}} V [(to|from) {_IT}]|{{multiply|divide}} {_IT} by V)", _apply),
    # Dates
    ("U [are|is|lie|pass] [there|it] (between|from) D (and|to) D", _days),
    ("Q (after|from) D", lambda span, day: shift(day, span)),
    ("Q before D", lambda span, day: shift(day, -span)),
    # Units and rounding, of whatever was computed before
    ("[convert] V (to|into|in|as) U", lambda a, unit: convert(a, unit.unit)),
    ("how (many|much) U (are|is|in|make) [there] [in] (V|(a|an) U)",
     lambda unit, a: convert(a, unit.unit)),
    (f"{_ROUND} to N decimal places", _rounded),
    (f"{_ROUND} to the nearest whole number", lambda a: call("round", a)),
    (f"{_ROUND} to the nearest N", lambda a, b: (call("round", a / b) * b).to(a.unit)),
    ("N (as|to|into|in) [a] <percentage>", lambda a: (a * Term("100")).to(PERCENT)),
    # Questions about what was computed
    (f"(M {_ASKED}|V [,|.] [how much] (in total|altogether|in all))", _itself),
    (f"({_DOES} M cost|[the] [total] <price> of M|V (as|to|into) a decimal)", _itself),
]  # fmt: skip
