"""Tasks told as a story: what is asked, a few cue words, and quantities by kind choose the formula.

    best(tokenize("The bill is €80 with a 10% tip. How much each for the two of us?"))

Names and nouns do not matter, as long as one formula fits, every number is used once, every
cue word belongs to the formula, and the unit that is asked comes out. Anything else is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from multi_agent.offline.arithmetic.rates import rates
from multi_agent.offline.arithmetic.story import (
    SMALL,
    Story,
    adopt,
    asked_per,
    asked_unit,
    stem,
    target_of,
)
from multi_agent.offline.arithmetic.tokens import Token, Tokens
from multi_agent.offline.arithmetic.two_steps import change, filling
from multi_agent.offline.arithmetic.values import kind, quantity, text_of
from seedbed.errors import BadInput

_WHOLE = r"\b(?:with|incl|including|total|price|gross)\b"
_FINAL = r"\b(?:reduced|discounted|raised|fell|rose|down|up) to [NMSKG]\d"
_FINAL += r"|\b(?:after|with) .*(?:paid|cost me)\b"
_BREAK = r"\b(?:breaks?|lunch|pauses?)\b.*\b(?:long|much|many)\b"
Answer = tuple[str, list[str]] | Token | None
"""An expression with the names of its slots."""


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
    if story.asks("tax") and not re.search(_WHOLE, story.ask):
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
    if falls and re.search(r"\bincl", story.text):
        return ""
    if re.search(_FINAL, story.told):
        return ""
    return "a * b" if story.asks("off", "tip", "up", "down", "compare") else f"a * (1 {sign} b)"


def _two_percentages(story: Story) -> Answer:
    """A discount and the tax on the rest, or one discount after another."""
    amounts, shares = story.of("NMX"), story.of("PF")
    off = r"(?:discount|off|rebate|reduction)"
    lower = [
        p for p in shares if re.search(rf"{p} {off}|(?:{off}|reduced) (?:of|by) {p}", story.text)
    ]
    taxes = [p for p in shares if re.search(rf"{p} (?:sales )?(?:vat|tax|gst)", story.text)]
    if len(lower) == 2 and not taxes and "sequence" in story.cues and len(amounts) == 1:
        return "a * (1 - b) * (1 - c)", amounts + lower
    if len(amounts) != 1 or len(shares) != 2 or len(lower) != 1 or len(taxes) != 1:
        return None
    return None if lower == taxes else ("a * (1 - b) * (1 + c)", amounts + lower + taxes)


def _part(story: Story) -> Answer:
    """Of 160 applicants, 45 % were women. How many women?"""
    amounts, shares = story.of("NM"), story.of("PF")
    if len(amounts) != 1 or len(shares) != 1:
        return None
    clause = re.search(rf"{shares[0]} (?:of )?((?:[a-z]\S* |N\d+ )*)", story.told)
    said = {stem(w) for w in clause[1].split() if w not in SMALL} if clause else set()
    asked = {stem(w) for w in story.question.split() if w not in SMALL}
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
    # "What percent are boys?" when girls were counted.
    part = re.search(r"percent\S* (?:are|were) ([a-z]\S*)", story.question)
    if part and part[1] not in SMALL and not re.search(rf"\b{part[1]}\b", story.told):
        return None
    is_part = ("compare" not in story.cues and not story.of("M")) or " of " in story.text
    return ("percent(least(a, b) / largest(a, b))", [first, second]) if is_part else None


def _statistic(story: Story) -> Answer:
    """The average, median or sum of a list; a count of the list confirms it."""
    names = list(story.names)
    for name in names:
        others = [n for n in names if n != name]
        is_count = name[0] == "N" and len(others) > 2 and story.value(name).m == len(others)
        if is_count and story.noun(name) and len({n[0] for n in others}) == 1:
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
    match = re.search(
        r"\bratio(?: of)? [NM]\d+(?: (?:to )?[NM]\d+)+|\bN\d+(?: to N\d+)+", story.text
    )
    if not match:
        return None
    parts = re.findall(r"[NM]\d+", match[0])
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
    """An arrival, a departure, or the time between two times of day, without a break."""
    times, spans = story.of("T"), story.of("S")
    way, speed = story.of("K"), story.of("X")
    if len(times) == len(way) == len(speed) == 1 and len(story.names) == 3 + len(spans) < 7:
        waits = "".join(f" + {letter}" for letter in "def"[: len(spans)])
        is_end = re.search(r"\b(?:when|time)\b", story.ask) and "arriv" in story.question
        return (f"later(a, b / c{waits})", times + way + speed + spans) if is_end else None
    if len(story.names) != len(times) + len(spans):
        return None
    if len(times) == 2 and not spans and re.search(r"\b(long|many|much|duration)\b", story.ask):
        return "clock(a, b)", times
    if len(times) == 2 and len(spans) == 1 and re.search(_BREAK, story.text):
        return "clock(a, b) - c", times + spans
    if len(times) != 1 or not spans or len(spans) > 3 or not re.search(r"when|time", story.ask):
        return None
    total = " + ".join("bcd"[: len(spans)])
    if re.search(r"(?<!ready to )\b(leave|start|depart|set off|go|begin)\b", story.question):
        return f"later(a, -({total}))", times + spans
    if re.search(r"\b(must|have to|has to|should|needs to|by|until|ready)\b", story.told):
        return None
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
    if len(story.names) != 1 or (target := target_of(story)) is None or isinstance(target, str):
        return None
    counted = re.search(r"many U\d+ ([a-z]\S*)", story.question)
    if counted and counted[1] not in SMALL:  # "how many days holiday"
        return None
    token = story.tokens.names[story.names[0]]
    is_asked = asked_unit(story) is not None or asked_per(story) is not None
    is_new = is_asked or " - " in token.expression
    fits = story.names[0][0] in "MSKGX" and target.is_compatible_with(token.value)
    return Token(token.value.to(target.u), token.expression) if is_new and fits else None


FORMULAS: tuple[tuple[str, str, str, Callable[[Story], Answer]], ...] = (
    # Its name, cues of which it needs one, further cues that it may have.
    (
        "percentage",
        "tax off tip up down",
        "gross net total split original left compare",
        _percentage,
    ),
    ("two percentages", "tax off", "left sequence total", _two_percentages),
    ("change", "change", "negation sequence total", change),
    ("filling", "", "negation sequence down up left total", filling),
    ("part of a group", "", "", _part),
    ("interest", "interest", "total up", _interest),
    ("percentage change", "", "up down change compare original", _percent_change),
    ("statistic", "average total", "", _statistic),
    ("shares", "split", "total", _split),
    ("ratio", "", "split compare total", _ratio),
    ("clock", "", "total change sequence", _clock),
    ("date", "", "", _date),
    ("difference", "left compare change", "", _difference),
    ("rate", "", "total average up gross", rates),
    ("conversion", "", "", _conversion),
)


def best(tokens: Tokens) -> tuple[str, Token]:
    """The name and the result of the only formula that fits. Raises BadInput."""
    adopt(tokens)
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


def _converted(story: Story, token: Token) -> Token:
    target = asked_unit(story)
    if target is None or kind(token.value) in "DTZP":
        return token
    if kind(token.value) == "N" and kind(target) == "M":
        return Token(token.value * target.u, token.expression)
    if not token.value.is_compatible_with(target):
        raise BadInput("The units do not fit together.")
    if token.value.u == target.u:
        return token
    return Token(
        token.value.to(target.u),
        f"convert({token.expression}, {text_of(target).removeprefix('1 ')})",
    )
