"""Requests with their right calls: phrase, facts, small talk and noise, composed at random.

    python -m tools.helpdesk.generate      rewrites train.jsonl and dev.jsonl of the project

The same (n, seed, part) gives the same requests in every process. The parts "train", "dev" and
"test" share no wish phrase, no user name, number or amount (`grammar.split`, `grammar.part_of`).
The phrases are in `phrases/`; the rules for the right answer in `finetune_lora/helpdesk/tools.py`.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from finetune_lora.example import Example
from finetune_lora.helpdesk.tools import ARGUMENTS, NONE, call, system_prompt
from tools.helpdesk import noise
from tools.helpdesk.grammar import PARTS, Phrase, expand, read_phrases, split
from tools.helpdesk.slots import Facts
from tools.helpdesk.written import Deck, rewrite
from seedbed.errors import BadInput

_SHARE = {
    NONE: 17,
    "create_ticket": 11,
    "update_ticket": 9,
    "request_access": 9,
    "refund_order": 9,
    "order_equipment": 8,
    "book_callback": 9,
    "reset_password": 8,
    "unlock_account": 7,
    "ticket_status": 7,
    "order_status": 7,
}
# how often a fact that the wish itself does not state is added to it
_ADDED = {
    "user": 0.55,
    "system": 0.6,
    "ticket": 0.8,
    "order": 0.8,
    "priority": 0.3,
    "amount": 0.3,
    "reason": 0.45,
    "level": 0.55,
    "phone": 0.75,
    "day": 0.6,
    "hour": 0.6,
}
_MAIN = {"user", "system", "ticket", "order", "item", "phone"}  # without these a fact is missing
# requests written by hand, with other values in them; and what is done to how they are typed
_WRITTEN = 0.8
_AS_WRITTEN = {"clean": 0.68, "lower case": 0.14, "no punctuation": 0.1, "typos": 0.08}
FOLDER = Path("projects/finetune_lora/src/finetune_lora/helpdesk")
SIZES = {"train": 6000, "dev": 80}
"""About as many training requests as two cores process in ten minutes."""
_TERSE, _TWO, _EXTRA, _TALK, _MAIL = 0.13, 0.08, 0.15, 0.15, 0.14


def generate(n: int, seed: int, *, part: str = "train") -> list[Example]:
    """`n` requests, no two alike: system, user and assistant message, with tags.

    Tags: tool, noise, kind (plain, no tool, missing fact, extra facts, chit-chat first, two wishes,
    correction), language. BadInput for another part than train, dev and test.
    """
    if part not in PARTS:
        raise BadInput(f"Unknown part {part!r}.", hint=f"Available: {', '.join(PARTS)}.")
    rng = Random(f"{seed}/{part}")
    prompt = {"role": "system", "content": system_prompt()}
    seen: set[str] = set()
    examples = []
    decks = {tool: Deck(tool, part, rng) for tool in _SHARE}
    for tool in _tools(n, rng):
        while True:
            request = _Request(tool, rng, part)
            row = decks[tool].deal() if rng.random() < _WRITTEN else None
            text, answer, tags = request.rewrite(row) if row else request.write()
            if text and text not in seen:
                break
        seen.add(text)
        asked = {"role": "user", "content": text}
        examples.append(
            Example((prompt, asked, {"role": "assistant", "content": answer}), tags=tags)
        )
    return examples


def _tools(n: int, rng: Random) -> list[str]:
    """Which tool each request is for, in the shares of `_SHARE`, shuffled."""
    total = sum(_SHARE.values())
    tools = [tool for tool, share in _SHARE.items() for _ in range(share * n // total)]
    tools += rng.choices(list(_SHARE), weights=list(_SHARE.values()), k=n - len(tools))
    rng.shuffle(tools)
    return tools


@cache
def _wishes(tool: str, part: str) -> list[Phrase]:
    return split(read_phrases(__package__, f"{tool}.txt"), part)


@cache
def _frames(name: str) -> list[Phrase]:
    """The phrases around a wish: openers, small talk, closers, signatures, distractors."""
    return [p for p in read_phrases(__package__, "frames.txt") if name in p.given]


class _Request:
    """One request in the making."""

    def __init__(self, tool: str, rng: Random, part: str) -> None:
        self.tool, self.rng, self.part = tool, rng, part
        self.facts = Facts(tool, rng, part)
        self.kinds: set[str] = set()

    def rewrite(self, row: dict[str, Any]) -> tuple[str, str, dict[str, str]]:
        """One that somebody wrote, with other values: its text, its answer and its tags."""
        text, arguments = rewrite(row, self.rng, self.part)
        chosen = self.rng.choices(*zip(*_AS_WRITTEN.items(), strict=True))[0]
        change = noise.NOISES[chosen][1]
        text = noise.clean(change(text, self.rng) if change else text)
        kind = "no tool" if self.tool == NONE else row["kind"]
        tags = {"tool": self.tool, "noise": chosen, "kind": kind, "language": "en"}
        return text, call(self.tool, **arguments), tags

    def write(self) -> tuple[str, str, dict[str, str]]:
        """The request, its answer and its tags."""
        phrase = self._wish(self.tool)
        sentences = self._terse(phrase) if "terse" in phrase.given else self._body(phrase)
        text = self._framed(sentences, terse="terse" in phrase.given)
        names, odds = zip(*((name, odd) for name, (odd, _) in noise.NOISES.items()), strict=True)
        chosen = self.rng.choices(names, odds)[0]
        change = noise.NOISES[chosen][1]
        text = noise.clean(change(text, self.rng) if change else text)
        answer = call(self.tool, **self.facts.stated)
        tags = {"tool": self.tool, "noise": chosen, "kind": self._kind(), "language": "en"}
        return text, answer, tags

    def _wish(self, tool: str) -> Phrase:
        phrases = _wishes(tool, self.part)
        terse = [p for p in phrases if "terse" in p.given]
        plain = [p for p in phrases if "terse" not in p.given]
        return self.rng.choice(terse if terse and self.rng.random() < _TERSE else plain)

    def _say(self, phrase: Phrase, facts: Facts | None = None) -> str:
        facts = facts or self.facts
        for argument, value in phrase.given.items():
            if value:
                facts.give(argument, value)
        return expand(phrase.text, self.rng, facts.fill)

    def _missing(self) -> list[str]:
        """Arguments the wish did not state and that are to be added, shuffled."""
        missing = [
            a
            for a in ARGUMENTS[self.tool]
            if a not in self.facts.stated and self.rng.random() < _ADDED.get(a, 0)
        ]
        if self.facts.stated.get("status") == "closed" and "priority" in missing:
            missing.remove("priority")  # nobody closes a ticket and makes it urgent
        self.rng.shuffle(missing)
        return missing

    def _fact(self, argument: str) -> str:
        facts = read_phrases(__package__, "facts.txt")
        return self._say(self.rng.choice([p for p in facts if argument in p.given]))

    def _body(self, phrase: Phrase) -> list[str]:
        rng = self.rng
        sentences = [self._say(phrase)]
        if self.tool == "create_ticket" and rng.random() < 0.15:
            sentences[0] = f"{rng.choice(_frames('report')).text} {sentences[0]}"
        wish = 0
        for argument in self._missing():
            text = self._fact(argument)
            if text[0] in ",(-":
                mark = "?" if sentences[wish].endswith("?") else ""
                sentences[wish] = (
                    sentences[wish].rstrip("?.!") + (" " if text[0] != "," else "") + text + mark
                )
            elif rng.random() < 0.25:
                sentences.insert(rng.randint(0, wish), text)
                wish += 1
            else:
                sentences.insert(rng.randint(wish + 1, len(sentences)), text)
        sentences += self.facts.trailing
        if self.tool != NONE and rng.random() < _EXTRA:
            self._distract(sentences)
        if self.tool != NONE and not self.facts.corrected and rng.random() < _TWO:
            sentences.append(self._second())
        return [s for s in sentences if s]

    def _distract(self, sentences: list[str]) -> None:
        """A fact about something else, never of a kind that the wish leaves open."""
        aside = Facts(self.tool, self.rng, self.part)
        # a deadline is no priority; but a day is what a call needs
        kind = "deadline" if self.tool != "book_callback" and self.rng.random() < 0.15 else "extra"
        text = expand(self.rng.choice(_frames(kind)).text, self.rng, aside.fill)
        open_ = {a for a in _MAIN & set(ARGUMENTS[self.tool]) if a not in self.facts.stated}
        if aside.other and open_:
            return
        self.kinds.add("extra facts")
        place = 0 if self.rng.random() < 0.4 else len(sentences)
        sentences.insert(place, text)

    def _second(self) -> str:
        """Another tool's wish after the first, with none of the first's open facts."""
        first = set(ARGUMENTS[self.tool]) - set(self.facts.stated)
        others = [
            t for t in ARGUMENTS if t not in (self.tool, NONE) and not first & set(ARGUMENTS[t])
        ]
        if not others:
            return ""
        tool = self.rng.choice(others)
        phrase = self._wish(tool)
        if "terse" in phrase.given:
            return ""
        self.kinds.add("two wishes")
        aside = Facts(tool, self.rng, self.part)
        aside.corrected = True
        wish = self._say(phrase, aside)
        return self.rng.choice(_frames("second")).text + " " + wish

    def _terse(self, phrase: Phrase) -> list[str]:
        """The head of a wish and bare values around it, as one types into a search box."""
        head = self._say(phrase)
        missing = [a for a in self._missing() if a != "reason"]
        if "ticket" in ARGUMENTS[self.tool] and "ticket" not in missing:
            missing.append("ticket")  # "status" or "low" alone could be about anything
        slots = {"order": "order_no"} if self.tool == "refund_order" else {}
        values = [self.facts.fill(slots.get(a, a)) for a in missing]
        place = 0 if self.rng.random() < 0.25 else len(values)
        before, after = values[: len(values) - place], values[len(values) - place :]
        mark = self.rng.choice((" ", " ", " ", ", ", " - ", ": ", " / "))
        return [mark.join((*before, head, *after)), *self.facts.trailing]

    def _kind(self) -> str:
        if self.tool == NONE:
            return "no tool"
        if self.facts.corrected:
            return "correction"
        for kind in ("two wishes", "extra facts"):
            if kind in self.kinds:
                return kind
        if _MAIN & set(ARGUMENTS[self.tool]) - set(self.facts.stated):
            return "missing fact"
        return "chit-chat first" if "chit-chat first" in self.kinds else "plain"

    def _framed(self, sentences: list[str], *, terse: bool) -> str:
        """Greeting, small talk, the sentences, a closer and a signature, each in some requests."""
        rng = self.rng

        def frame(name: str) -> str:
            return expand(
                rng.choice(_frames(name)).text, rng, Facts(self.tool, rng, self.part).fill
            )

        if terse:
            ending = frame("please") if rng.random() < 0.15 else ""
            return " ".join((*sentences, ending)).strip()
        several = rng.choice((1, 1, 1, 2, 3))  # people who ramble
        talk = [frame("talk") for _ in range(several)] if rng.random() < _TALK else []
        talk = list(dict.fromkeys(talk))
        if talk:
            self.kinds.add("chit-chat first")
        closer, often = ("thanks", 0.06) if self.tool == NONE else ("close", 0.25)
        close = [frame(closer)] if rng.random() < often else []
        body = _prose([*talk, *sentences, *close], rng)
        if rng.random() < _MAIL:
            gap = rng.choice(("\n\n", "\n"))
            return f"{frame('greeting')}{gap}{body}{gap}{frame('signature')}"
        if rng.random() < 0.28:
            opener = frame("opener")
            if opener[-1] in ".!?":
                return f"{opener} {body}"
            first = body[0] if body.startswith(("I ", "I'")) else body[0].lower()
            return f"{opener} {first}{body[1:]}"
        return body


def _prose(sentences: list[str], rng: Random) -> str:
    """Sentences with capitals and full stops (now and then neither), joined by blanks."""
    ends = rng.choice((".", ".", ".", ".", ".", "!", ""))
    done = []
    for place, text in enumerate(sentences):
        last = place == len(sentences) - 1
        end = noise.clean(text)[-1]
        if end not in ".!?,:)":
            text += ends if last else (ends or rng.choice((".", ",")))
        elif end == ")":
            text += "."
        done.append(text[0].upper() + text[1:])
    return " ".join(done)


def as_lines(examples: list[Example]) -> str:
    """One JSON line for each request, without the system prompt, which all of them share."""
    rows = (
        {
            "prompt": example.text,
            "completion": example.answer,
            "tags": {name: example.tags[name] for name in ("tool", "kind", "noise")},
        }
        for example in examples
    )
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def main() -> None:
    """Write the data sets of the project."""
    for part, size in SIZES.items():
        examples = generate(size, seed=0, part=part)
        (FOLDER / f"{part}.jsonl").write_text(as_lines(examples), encoding="utf-8")


if __name__ == "__main__":
    main()
