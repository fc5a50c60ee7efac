"""Tasks told as a story: what is asked, a few cue words, and quantities by kind choose the formula.

    best(tokenize("The bill is €80 with a 10% tip. How much each for the two of us?"))

Names and nouns do not matter, as long as one formula fits, every number is used once, every cue word
belongs to the formula, and the unit that is asked comes out. Anything else is refused.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

from multi_agent.tools.arithmetic.phrases import CUES, CURRENCIES, LISTS
from multi_agent.tools.arithmetic.tokens import Token, Tokens
from multi_agent.tools.arithmetic.values import kind, quantity, reduced, text_of, unit
from seedbed.errors import BadInput

_NAME = r"[A-TV-Z]\d+"
_ASK = r"\b(?:how|what|whats|when|which|calculate|find)\b"
_SMALL = frozenset(f"{LISTS['small']} {LISTS['holding']}".split())
_PEOPLE = frozenset(LISTS["crowd"].split())
_MEASURES = {
    "far": "kilometer",
    "long": "hour",
    "fast|speed": "kilometer/hour",
    "heavy|weigh": "kilogram",
}
Answer = tuple[str, list[str]] | Token | None
"""An expression with the names of its slots."""


@dataclass
class Story:
    """The words of a task, without marks."""

    tokens: Tokens

    @cached_property
    def text(self) -> str:
        return self.tokens.text.replace("_", "")

    @cached_property
    def names(self) -> list[str]:
        return re.findall(rf"{_NAME}\b", self.text)

    @cached_property
    def question(self) -> str:
        """The last clause that asks."""
        sentences = [s for s in re.split(r" \. ", self.text) if re.search(_ASK, s)]
        last = sentences[-1] if sentences else self.text
        return last[match.start() :] if (match := re.search(_ASK, last)) else last

    @cached_property
    def ask(self) -> str:
        """The question up to its first number or condition."""
        return re.split(rf"\b(?:if|for|on|in a|after)\b|{_NAME}", self.question)[0]

    @cached_property
    def told(self) -> str:
        return self.text.replace(self.ask, " ; ", 1)

    @cached_property
    def cues(self) -> set[str]:
        return {name for name, pattern in CUES.items() if pattern.search(self.text)}

    def value(self, name: str) -> Any:
        return self.tokens.names[name].value

    def of(self, letters: str) -> list[str]:
        """The names of these kinds, in order."""
        return [name for name in self.names if name[0] in letters]

    def noun(self, name: str) -> str:
        """The thing that a number counts."""
        match = re.search(rf"\b{name} (?:of )?((?:[a-z][^\s]*(?: |$)){{0,3}})", self.text)
        return self.thing(match[1] if match else "")

    def thing(self, phrase: str) -> str:
        """The noun of a phrase: the first word that the text has twice, or else the last word."""
        words: list[str] = []
        for word in phrase.split():
            if word in _SMALL:
                break
            words.append(stem(word))
        if words and words[0] == "person":
            return "person"
        stems = Counter(stem(word) for word in self.text.split())
        return next((word for word in words if stems[word] > 1), words[-1] if words else "")

    def asks(self, *cues: str) -> bool:
        return any(CUES[cue].search(self.ask) for cue in cues)

    def tells(self, *cues: str) -> bool:
        return any(CUES[cue].search(self.told) for cue in cues)


def stem(word: str) -> str:
    """
    >>> stem("boxes"), stem("barrels"), stem("people")
    ('box', 'barrel', 'person')
    """
    if word in _PEOPLE:
        return "person"
    return re.sub(r"(?<=[sxzh])es$|(?<=[^s])s$", "", re.sub(r"ies$", "y", word))


def _percentage(story: Story) -> Answer:
    """Tax, discount, tip, rise and fall of one amount; a bill may be split."""
    amounts, shares = story.of("NMSKGX"), story.of("PF")
    people = ""
    if "split" in story.cues:
        people = next((n for n in amounts if n[0] == "N" and story.noun(n) == "person"), "")
        amounts = [name for name in amounts if name != people]
    if len(amounts) != 1 or len(shares) != 1 or (people == "") != ("split" not in story.cues):
        return None
    template = _tax(story) if "tax" in story.cues else _change(story)
    slots = amounts + shares
    if people and template:
        return f"({template}) / c", [*slots, people]
    return (template, slots) if template else None


def _tax(story: Story) -> str:
    if story.cues & {"off", "tip", "up", "down"}:
        return ""
    if story.asks("net"):
        return "" if story.tells("net") else "a / (1 + b)"
    if story.asks("tax") and not re.search(r"\b(with|incl|including|total|price|gross)\b", story.ask):
        return "a - a / (1 + b)" if "gross" in story.cues and "net" not in story.cues else "a * b"
    return "" if story.tells("gross") and not story.tells("net") else "a * (1 + b)"


def _change(story: Story) -> str:
    """The formula for a discount, a tip, a rise or a fall."""
    kinds = story.cues & {"off", "tip", "up", "down"}
    falls = bool(kinds & {"off", "down"})
    if not kinds or (falls and kinds & {"tip", "up"}):
        return ""
    sign = "-" if falls else "+"
    if story.asks("original"):
        return f"a / (1 {sign} b)"
    if re.search(r"\b(reduced|discounted|raised|fell|rose|down|up) to [NMSKG]\d|\b(after|with) .*(paid|cost me)\b", story.told):
        return ""
    return "a * b" if story.asks("off", "tip", "up", "down", "compare") else f"a * (1 {sign} b)"


def _part(story: Story) -> Answer:
    """Of 160 applicants, 45 % were women. How many women?"""
    amounts, shares = story.of("NM"), story.of("PF")
    if len(amounts) != 1 or len(shares) != 1:
        return None
    clause = re.search(rf"{shares[0]} (?:of )?((?:[a-z]\S* |N\d+ )*)", story.told)
    said = {stem(w) for w in clause[1].split() if w not in _SMALL} if clause else set()
    asked = {stem(w) for w in story.question.split() if w not in _SMALL}
    if asked - {story.noun(amounts[0])} and asked <= said:
        return "a * b", amounts + shares
    return None


def _interest(story: Story) -> Answer:
    amounts, shares, spans = story.of("NM"), story.of("P"), story.of("S")
    if len(amounts) != 1 or len(shares) != 1 or len(spans) > 1 or "monthly" in story.text:
        return None
    compound, years = "compound" in story.text, "(c / year)" if spans else "1"
    is_short = not spans or story.value(spans[0]) <= quantity(1, "year")
    if not (is_short or compound or "simple" in story.text) or (compound and not spans):
        return None
    gain = f"(1 + b) ** {years} - 1" if compound else f"b * {years}"
    gain = f"b * {years}" if is_short else gain
    wants = re.search(r"\b(interest|earn|gain)", story.ask)
    return f"a * ({gain})" if wants else f"a * (1 + {gain})", amounts + shares + spans


def _percent_change(story: Story) -> Answer:
    """The change from one value to another, or the share of one in another."""
    if not re.search(r"percent", story.text) or len(story.names) != 2 or story.of("PFDTX"):
        return None
    first, second = story.names
    if story.cues & {"up", "down", "change"}:
        later = rf"{first} (?:[a-z]\S* )?(?:this|now|today)|(?:now|this \S+) (?:[a-z]\S* )?{first}"
        if re.search(later, story.told) or re.search(rf"{second} (last|before)", story.told):
            first, second = second, first
        rises = story.value(second).m > story.value(first).m
        if {"up", "down"} & story.cues not in ({"up"} if rises else {"down"}, set()):
            return None
        return "percent(absolute(b / a - 1))", [first, second]
    return "percent(least(a, b) / largest(a, b))", [first, second]


def _statistic(story: Story) -> Answer:
    """The average, median or sum of a list; a count of the list confirms it."""
    names = list(story.names)
    for name in names:
        others = [n for n in names if n != name]
        if name[0] == "N" and len(others) > 2 and story.value(name).m == len(others):
            if story.noun(name) and len({n[0] for n in others}) == 1:
                names = others
                break
    row = r"\W+(?:and )?".join(names)
    same = len({name[0] for name in names}) == 1 and names[0][0] in "NMSKG"
    if len(names) < 2 or not same or (names[0][0] == "N" and not re.search(row, story.text)):
        return None
    word = "median" if "median" in story.text else "average" if "average" in story.cues else "total"
    if word == "total" and "total" not in story.cues:
        return None
    slots = " ".join(names)
    return f"{word}(a)", [slots]


def _split(story: Story) -> Answer:
    """One amount, or the sum of several, among people."""
    people = [n for n in story.of("N") if story.noun(n) == "person"]
    amounts = [n for n in story.names if n not in people]
    if len(people) != 1 or not amounts or any(n[0] not in "NMGK" for n in amounts):
        return None
    if not re.search(r"\b(each|per|everyone|one|every)\b", story.question + story.told):
        return None
    if len(amounts) > 1 and (len(amounts) > 3 or not story.of("M")):
        return None
    if len(amounts) > 1 and re.search(r"\beach\b", story.told):
        return None
    return f"({' + '.join('abc'[: len(amounts)])}) / {'abcd'[len(amounts)]}", amounts + people


def _ratio(story: Story) -> Answer:
    """A whole in a ratio: the largest or smallest part, or the part of a name."""
    match = re.search(r"\bN\d+(?: to N\d+)+\b", story.text)
    if not match:
        return None
    parts = re.findall(r"N\d+", match[0])
    rest = [n for n in story.names if n not in parts]
    rest = [
        n for n in rest if not (n[0] == "N" and story.value(n).m == len(parts) and len(rest) > 1)
    ]
    if len(rest) != 1 or rest[0][0] not in "NMGKS":
        return None
    letters = "bcdef"[: len(parts)]
    sizes = sorted(parts, key=lambda n: story.value(n).m)
    part = ""
    if re.search(r"\b(biggest|largest|bigger|larger|most|greater|greatest)\b", story.question):
        part = sizes[-1]
    elif re.search(r"\b(smallest|smaller|least)\b", story.question):
        part = sizes[0]
    else:
        before = re.sub(r" is | are ", " ", story.text[: match.start()]).split(" . ")[-1]
        row = re.search(r"((?:\w+ , )*\w+ (?:and|to) \w+) (?:\w+ ){0,4}$", before)
        things = re.split(r" , | and | to ", row[1]) if row else []
        if len(things) == len(parts):
            asked = [
                i for i, thing in enumerate(things) if re.search(rf"\b{thing}\b", story.question)
            ]
            part = parts[asked[0]] if len(asked) == 1 else ""
        kinds = [stem(thing) for thing in things]
        if part and (noun := story.noun(rest[0])) in kinds:  # one part is given
            return f"a * {letters[parts.index(part)]} / {letters[kinds.index(noun)]}", rest + parts
    if not part:
        return None
    return f"a * {letters[parts.index(part)]} / ({' + '.join(letters)})", rest + parts


def _clock(story: Story) -> Answer:
    """An arrival, a departure, or the time between two times of day."""
    times, spans = story.of("T"), story.of("S")
    if len(story.names) != len(times) + len(spans):
        return None
    if len(times) == 2 and not spans and re.search(r"\b(long|many|much|duration)\b", story.ask):
        return "clock(a, b)", times
    if len(times) != 1 or not spans or len(spans) > 3 or not re.search(r"when|time", story.ask):
        return None
    total = " + ".join("bcd"[: len(spans)])
    if re.search(r"\b(leave|start|depart|set off|go|begin)\b", story.question):
        return f"later(a, -({total}))", times + spans
    return f"later(a, {total})", times + spans


def _date(story: Story) -> Answer:
    days, spans = story.of("D"), story.of("S")
    if len(story.names) != len(days) + len(spans):
        return None
    if len(days) == 2 and not spans and re.search(r"\b(long|many)\b", story.ask):
        return "days(a, b)", days
    if len(days) == len(spans) == 1 and re.search(r"\b(when|date|day)\b", story.question):
        return "shift(a, b)", days + spans
    return None


def _difference(story: Story) -> Answer:
    """What is left of an amount, the change for a payment, or how much more one value is."""
    names = story.names
    if (
        len(names) < 2
        or len(names) > 4
        or len({n[0] for n in names}) != 1
        or names[0][0] not in "MSKG"
    ):
        return None
    if re.search(r"\b(each|per|every|pieces|into|percent)\b", story.text):
        return None
    if "left" in story.cues:
        first = max(names, key=lambda n: story.value(n))
        rest = [n for n in names if n != first]
        return f"a - {' - '.join('bcd'[: len(rest)])}", [first, *rest]
    if len(names) == 2 and (story.asks("compare") or re.search(rf"from {names[0]} to", story.text)):
        return "absolute(a - b)", names
    return None


def _conversion(story: Story) -> Answer:
    """One value in another unit, or one that was computed on reading."""
    if len(story.names) != 1 or (target := _target(story)) is None or isinstance(target, str):
        return None
    is_new = _asked_unit(story) is not None or _asked_per(story) is not None or " - " in story.tokens.names[story.names[0]].expression
    fits = target.is_compatible_with(story.value(story.names[0])) if story.names[0][0] in "MSKGX" else 0
    token = story.tokens.names[story.names[0]]
    return Token(token.value.to(target.u), token.expression) if is_new and fits else None


def _rates(story: Story) -> Answer:
    """The product of all values to the power 1 or -1 that has the unit or the things asked for."""
    if not 2 <= len(names := story.names) <= 6 or any(n[0] in "DTPF" for n in names):
        return None
    target = _target(story)
    for exact in (True, False):
        dimensions = [_dimension(story, name, exact) for name in names]
        if target is None or not all(dimensions):
            return None
        if isinstance(target, str):
            wanted = Counter({target: 1})
            if (per := _asked_per(story)) is not None:
                wanted.subtract(_of_value(per, exact))
        else:
            wanted = Counter(_of_value(target, exact))
        fits = []
        for signs in product((1, -1), repeat=len(names)):
            result: Counter[str] = Counter()
            for sign, dimension in zip(signs, dimensions, strict=True):
                for key, exponent in dimension.items():
                    result[key] += sign * exponent
            if {k: v for k, v in result.items() if v} == dict(wanted):
                fits.append(signs)
        if len(fits) == 1:
            return _product(story, fits[0])
        if len(fits) == 2 and not unit("hour").is_compatible_with(getattr(target, "u", unit("meter"))):
            # A rule of three: what the question names is multiplied.
            last = [n in re.findall(_NAME, story.question) for n in names]
            fits = [f for f in fits if all(s > 0 for s, late in zip(f, last, strict=True) if late)]
            return _product(story, fits[0]) if any(last) and len(fits) == 1 else None
        if fits:
            return None
    return None


def _product(story: Story, signs: tuple[int, ...]) -> Token:
    value, text = quantity(1), ""
    for sign, name in sorted(zip(signs, story.names, strict=True), key=lambda pair: -pair[0]):
        token = story.tokens.names[name]
        inner = (
            f"({token.expression})"
            if " " in token.expression and name[0] == "X"
            else token.expression
        )
        value = value * token.value if sign > 0 else value / token.value
        text = f"{text} {'*' if sign > 0 else '/'} {inner}" if text else inner
    time = {name for name in value._units if unit(name).is_compatible_with(unit("day"))}
    return Token(value if len(time) == 1 else reduced(value), text)


def _of_value(value: Any, exact: bool) -> dict[str, int]:
    """The dimensions of a value; exactly: an hour is not a part of a day."""
    result: Counter[str] = Counter()
    for name, exponent in value._units.items():
        if exact and unit(name).dimensionality == unit("day").dimensionality:
            result[name] += int(exponent)
            continue
        for dimension, power in unit(name).dimensionality.items():
            result[dimension] += int(power * exponent)
    return dict(result)


def _dimension(story: Story, name: str, exact: bool) -> dict[str, int]:
    """Those of the unit, of the things counted, and of what it is per."""
    result = Counter(_of_value(story.value(name), exact))
    if name[0] in "NX" and (noun := story.noun(name)):
        if not (name[0] == "X" and any(v > 0 for v in result.values())):
            result[noun] += 1
    number = name[1:]
    if thing := _per(story, name):
        result[thing] -= 1
    return {key: exponent for key, exponent in result.items() if exponent} if number else {}


def _per(story: Story, name: str) -> str:
    """The thing after "per", or before "holds", that a quantity belongs to."""
    text = f"{story.text} "
    patterns = [rf"([a-z]\S*) each (?:[a-z]\S* ){{0,2}}{name}\b"]
    if name[0] != "X":
        verb, few = LISTS["holding"].replace(" ", "|"), rf"(?:(?!{_ASK})[a-z]\S* ){{0,2}}"
        one = r"\b(?:an?|one|each|every|per)"
        patterns += [
            rf"\b{name} {few}(?:per|an?|each|every) (?!and\b|for\b|how\b)([a-z]\S*)",
            rf"{one} (?:\S+ )?([a-z]\S*) (?:can |must |of \S+ )?(?:{verb}) {name}\b",
            rf"\b(?:each|every) ([a-z]\S*) [a-z]\S* {name}\b",
        ]
    things = [stem(match[1]) for p in patterns if (match := re.search(p, text))]
    stems = [stem(word) for word in text.split()]
    counted = {story.noun(n) for n in story.of("N")}
    things = [t for t in things if t not in _SMALL and (stems.count(t) > 1 or t in counted)]
    if things:
        return things[0]
    if name[0] == "M" and (match := re.search(rf"(N\d+) (?:[a-z]\S* )+at {name}\b", text)):
        return story.noun(match[1])
    ending = r"(?:each|apiece) (?:[.,]|and|for|at|how|what|$)"
    if re.search(rf"\b{name} (?:(?!{_ASK})[a-z]\S* ){{0,2}}{ending}", text):
        counts = [n for n in story.of("N") if n != name]
        return (story.noun(counts[0]) or "?") if len(counts) == 1 else "?"
    return ""


def _asked_unit(story: Story) -> Any:
    """The unit after "how many" or "in"."""
    for pattern in (r"(?:many|much) (U\d+)", r"(?:in|into|to) (U\d+)"):
        if match := re.findall(pattern, story.text):
            per = _asked_per(story)
            return story.value(match[0]) if per is None else story.value(match[0]) / per
    return None


def _asked_per(story: Story) -> Any:
    """The unit after "per" in the question."""
    names = re.findall(r"\b(?:per|an?|each|every) (U\d+)", story.question)
    return story.value(names[-1]) if names else None


def _target(story: Story) -> Any:
    """The unit or the things asked for."""
    if (asked := _asked_unit(story)) is not None:
        return asked
    if match := re.search(r"how many ((?:[a-z]\S* ){1,3})", f"{story.question} "):
        return story.thing(match[1]) or None
    units = [u for n in story.names if n[0] in "NMSKGX" for u in story.value(n)._units]
    money = [name for name in units if name in CURRENCIES]
    for words, name in _MEASURES.items():
        if re.search(rf"\b(?:{words})\b", story.ask):
            return quantity(1, name)
    if money and re.search(r"\b(much|what|whats)\b", story.question):
        per = _asked_per(story)
        return quantity(1, money[0]) / (1 if per is None else per)
    return None


FORMULAS: tuple[tuple[str, str, str, Callable[[Story], Answer]], ...] = (
    # Its name, cues of which it needs one, further cues that it may have.
    (
        "percentage",
        "tax off tip up down",
        "gross net total split original left compare",
        _percentage,
    ),
    ("part of a group", "", "", _part),
    ("interest", "interest", "total up", _interest),
    ("percentage change", "", "up down change compare original", _percent_change),
    ("statistic", "average total", "", _statistic),
    ("shares", "split", "total", _split),
    ("ratio", "", "split compare total", _ratio),
    ("clock", "", "total", _clock),
    ("date", "", "", _date),
    ("difference", "left compare change", "", _difference),
    ("rate", "", "total average up gross", _rates),
    ("conversion", "", "", _conversion),
)


def best(tokens: Tokens) -> tuple[str, Token]:
    """The name and the result of the only formula that fits. Raises BadInput."""
    _adopt(tokens)
    story = Story(tokens)
    results: dict[str, tuple[str, Token]] = {}
    for name, needs, allows, function in FORMULAS:
        wanted = set(needs.split())
        if (wanted and not wanted & story.cues) or story.cues - wanted - set(allows.split()):
            continue
        try:
            if answer := function(story):
                token = answer if isinstance(answer, Token) else tokens.compute(*answer)
                token = _converted(story, token)
                results.setdefault(text_of(token.value), (name, token))
        except (BadInput, ArithmeticError, TypeError, ValueError):  # of pint, too
            continue
    if len(results) != 1:
        names = " or ".join(name for name, _ in results.values())
        raise BadInput(f"Ambiguous: {names}?" if results else "No formula fits.")
    return next(iter(results.values()))


def _adopt(tokens: Tokens) -> None:
    """One thing is a thing; a bare number beside one currency is money."""
    for row in re.findall(rf"(?:N\d+ , )*N\d+ and {_NAME}", tokens.text):  # 7, 8 and 6.5 hours
        *bare, last = re.findall(_NAME, row)
        for name in bare if last[0] in "MSKG" else ():
            same = tokens.add(tokens.names[name].value * tokens.names[last].value.u)
            tokens.text = re.sub(rf"\b{name}\b", same, tokens.text)
    story = Story(tokens)
    units = {str(story.value(name).u) for name in story.of("M")}
    is_ratio = re.search(r"N\d+ to N", story.text)
    for name in story.of("N"):
        if not is_ratio and len(units) == 1 and not story.noun(name):
            money = tokens.add(quantity(story.value(name).m, units.copy().pop()))
            tokens.text = re.sub(rf"\b{name}\b", money, tokens.text)
        elif not is_ratio and tokens.names[name].expression == "1" and story.noun(name):
            tokens.text = re.sub(rf"\b{name}\b", "a", tokens.text)


def _converted(story: Story, token: Token) -> Token:
    target = _asked_unit(story)
    if target is None or kind(token.value) in "DTZP":
        return token
    if kind(token.value) == "N" and kind(target) == "M":
        return Token(token.value * target.u, token.expression)
    if not token.value.is_compatible_with(target):
        raise BadInput("The units do not fit together.")
    return Token(token.value.to(target.u), token.expression)
