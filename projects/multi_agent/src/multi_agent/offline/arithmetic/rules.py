"""Phrases, each with the term that it stands for; the first one that fits a task counts.

`[x]` is optional, `(x|y)` a choice, `{x|y}` one for the function, `<name>` a group of words.toml,
and `~` one to three unknown words, which name a thing. Capitals are terms for the function: N a
plain number, P a percentage, F a fraction, M money, Q a quantity, G a count of things; A is NMQG, S
is PF, V any of these, B is NM, C is NG; L a list of V, and T a thing as text.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from operator import add, mul, sub, truediv
from pathlib import Path
from typing import Any

from multi_agent.brain import Refusal
from multi_agent.offline.arithmetic.terms import PERCENT, Term, alike, call

_FILE: dict[str, Any] = tomllib.loads(Path(__file__).with_name("words.toml").read_text("utf-8"))
NEUTRAL = frozenset(_FILE["neutral"].split())
DECISIVE = frozenset(_FILE["decisive"].split())
GROUPS: dict[str, str] = _FILE["groups"]

_WORDS = {name: words.split("|") for name, words in GROUPS.items()}
_OPERATORS: dict[str, Callable[[Term, Term], Term]] = {
    **dict.fromkeys(["plus", "add", *_WORDS["raised"], *_WORDS["rise"], *_WORDS["more"]], add),
    **dict.fromkeys(["minus", *_WORDS["lowered"], *_WORDS["fall"], *_WORDS["less"]], sub),
    **dict.fromkeys(_WORDS["subtract"], sub),
    **{"times": mul, "multiply": mul, "over": truediv, "divide": truediv},
}


def _apply(*slots: Any) -> Term:
    """Two terms, and the word of an operator before or between them."""
    (word,) = [slot for slot in slots if isinstance(slot, str)]
    return _OPERATORS[word](*[slot for slot in slots if isinstance(slot, Term)])


def _reversed(*slots: Any) -> Term:
    """5 less than 20; subtract 5 from 20."""
    return _apply(*reversed(slots))


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


def _net(price: Term, tax: Term) -> Term:
    return price / (Term("1") + tax.factor)


_OF = "[of] [the|these] [following] [numbers|values] [,]"
_DOES = "(how much|what) (do|does|is|are|will|would)"
_COSTS = "[<a> ~ (of|costs|cost|is|was)]"
_ASKED = (
    f"[,|.] [and] (what is [the|its] [<new>] <price>|{_DOES} (it|i|we) (cost|pay)|how much is it)"
    " [now|then]"
)
_PAYS = "[,|.] (how much|what) (do|does|must|will) each [of (them|us)|~] <pay>"

RULES: list[tuple[str, Callable[..., Term]]] = [
    # Lists and pairs
    (f"([the] (sum|total) {_OF}|add [up]) L [together|up]", lambda *terms: call("sum", *terms)),
    (f"[the] (average|mean) {_OF} L", lambda *terms: call("average", *terms)),
    ("[the] difference (between|of) V and V", lambda *terms: call("abs", sub(*alike(*terms)))),
    ("[the] square root of N", lambda a: call("sqrt", a)),
    # Percentages of what, and changes
    ("<what_share> (is|are) A [out] of A", _ratio),
    ("<what_share> of A (is|are) A", lambda whole, part: _ratio(part, whole)),
    ("A (is|are) <what_share> of A", _ratio),
    ("A as [a|the] <percentage> of A", _ratio),
    ("A [out] of A [~] [,|.] <what_share> is (that|this|it)", _ratio),
    ("<percentage> {change|<rise>|<fall>} (from|between) A (to|and) A", _change),
    ("<thing> [has|is|was] {<changed>} from A to A [,|.] <by_how_much> (did|has|was) (it|they|~)"
     " (<changed>)", _change),
    # Shares
    ("S of [the|a|an|my|our] V", mul),
    ("N over N of [the] A", lambda a, b, whole: a / b * whole),
    ("(twice|double) V", lambda a: Term("2") * a),
    # Prices: of several, shared, with a tax or a discount
    (f"[<a>] T (cost|costs|weighs) A [<each>] [,|.] {_DOES} G (cost|weigh)", _price),
    (f"{_DOES} G (cost|weigh) (if|when) [<a>] T (cost|costs|weighs) A [<each>]",
     lambda count, thing, price: _price(thing, price, count)),
    (f"({_DOES} G cost at B [<each>]|[<price> of] C (at|cost) B <each> [{_ASKED}]|G at M)",
     lambda count, price: count.to("") * price),
    (f"(<split> V|V is <shared>) [<evenly>] <among> C [<evenly>] [{_PAYS}]", truediv),
    (f"C <split> [<a> ~ of] V [<evenly>] {_PAYS}", lambda count, whole: whole / count),
    ("[the] <price> <with> P <tax> is M . what is the <net>", lambda tax, price: _net(price, tax)),
    ("[the] <net> of M (including|at|with) P <tax>", _net),
    ("P <tax> on B", mul),
    ("<tax> on B (at|of) P", mul),
    (f"{_COSTS} B [(before|without|excluding) <tax>] {_ASKED} (with|including|plus|at) P <tax>",
     add),
    (f"[[the] (gross|total|final) <price> of] B <plus> [a] P <tax> [{_ASKED}]", add),
    (f"{_COSTS} B [cost|{_ASKED}] (after|with|less|minus|at) [a|the]"
     " (S <discount>|<discount> of S)", sub),
    ("S off [of] A", lambda share, whole: whole - share),
    (f"{_COSTS} V [and] [is|are] {{<changed>}} by V [{_ASKED}]", _apply),
    # Two amounts
    ("{<changed>} V by V", _apply),
    ("what is V {<more>|<less>} than V", _reversed),
    ("V [,] {times|over} V", _apply),
    ("V [,] {plus|minus} V", _apply),
    ("{multiply|divide} V (by|with) V", _apply),
    ("{add|<subtract>} V [<tax>] (to|from|off) V", _reversed),
]  # fmt: skip
