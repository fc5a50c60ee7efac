"""Filling a phrase's slots with facts, and keeping account of which facts a request has stated.

It knows the words of `values.py` and the tools' arguments, but no sentence.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from finetune_lora.helpdesk.tools import ARGUMENTS
from finetune_lora.helpdesk.tools import values as allowed
from tools.helpdesk import values
from tools.helpdesk.grammar import PARTS
from tools.helpdesk.noise import END, MARK, guard

CORRECTABLE = (
    "priority",
    "level",
    "quantity",
    "system",
    "the_system",
    "ticket",
    "order",
    "user",
    "hour",
    "day",
    "item",
)
_CORRECTION = 0.06
_FORMS = {
    "the_system": "system",
    "on_day": "day",
    "level_verb": "level",
    "the_item": "item",
    "items": "item",
    "ticket_no": "ticket",
    "order_no": "order",
}


class Facts:
    """What one request states. `fill` turns a slot into words and remembers the value in `stated`.

    A slot is an argument's name or a form of it (`the_system`, `on_day`, `ticket_no`),
    `other_order` and its like for what is not asked about, as any slot the tool has no argument
    for, or a list of `values.toml`'s `free`.
    `trailing` collects corrections that belong at the end.
    """

    def __init__(self, tool: str, rng: Random, part: str) -> None:
        if part not in PARTS:
            raise ValueError(f"part is {part!r}, not one of {PARTS}")
        self.tool, self.rng, self.part = tool, rng, part
        self.stated: dict[str, Any] = {}
        self.trailing: list[str] = []
        self.corrected = False
        self.other = False

    def give(self, argument: str, value: Any) -> None:
        """State a value that needs no slot, because the phrase's words say it."""
        if argument in ARGUMENTS[self.tool]:
            self.stated[argument] = value

    def fill(self, slot: str) -> str:
        if slot.startswith("other_"):
            self.other = True
            return self._write(slot.removeprefix("other_"))[1]
        if slot in (free := values.words()["free"]):
            return str(self.rng.choice(free[slot]))
        if _FORMS.get(slot, slot) not in ARGUMENTS[self.tool]:
            return self._write(slot)[1]
        argument, value, text = self._fresh(slot)
        if slot in CORRECTABLE and not self.corrected and self.rng.random() < _CORRECTION:
            text = self._correct(slot, text, value)
        self.stated[argument] = value
        return text

    def _fresh(self, slot: str) -> tuple[str, Any, str]:
        """An argument's value in words; a value that is stated already is only worded anew."""
        argument = _FORMS.get(slot, slot)
        value, text = self._write(slot, self.stated.get(argument))
        return argument, value, text

    def _correct(self, slot: str, text: str, value: Any) -> str:
        """State something else first, then take it back: at once or at the end."""
        wrong, wrong_text = self._write(slot)
        while wrong == value:
            wrong, wrong_text = self._write(slot)
        self.corrected = True
        if self.rng.random() < 0.6:
            back: str = self.rng.choice(values.words()["correct"]["inline"])
            return wrong_text + back.format(text)
        self.trailing.append(self.rng.choice(values.words()["correct"]["after"]).format(text))
        return wrong_text

    def _write(self, slot: str, value: Any = None) -> tuple[Any, str]:
        rng, part = self.rng, self.part
        open_values: dict[str, Callable[[], tuple[Any, str]]] = {
            "user": lambda: values.user(rng, part),
            "ticket": lambda: values.serial(rng, part, "T", "ticket"),
            "ticket_no": lambda: values.serial(rng, part, "T", "ticket", alone=True),
            "order": lambda: values.serial(rng, part, "A", "order"),
            "order_no": lambda: values.serial(rng, part, "A", "order", alone=True),
            "amount": lambda: values.amount(rng, part),
            "phone": lambda: values.phone(rng, part),
            "hour": lambda: values.hour(rng),
            "quantity": self._quantity,
        }
        if slot in open_values:
            return open_values[slot]()
        if slot == "items":
            return self._items()
        if value is None:
            argument = _FORMS.get(slot, slot)
            known = argument in ARGUMENTS[self.tool]
            choices = allowed(self.tool, argument) if known else tuple(values.words()[slot])
            value = rng.choice(choices)
        return value, rng.choice(values.words()[slot][value])

    def _quantity(self) -> tuple[int, str]:
        value = self.rng.choice(
            (1, 2, 2, 2, 3, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, self.rng.randint(2, 60))
        )
        word = values.number_word(value) if value <= 30 else str(value)
        return value, guard(self.rng.choice((word, str(value))))

    def _items(self) -> tuple[str, str]:
        """An item with or without a number; states the quantity itself."""
        item = self.rng.choice(allowed("order_equipment", "item"))
        one = self.rng.choice(values.words()["item"][item])
        many = f"{one[:-5]}mice" if one.endswith("mouse") else f"{one}s"
        if one.startswith("pair of"):
            many = "pairs" + one[4:]
        detail = self.rng.choice(values.words()["detail"][item]) if self.rng.random() < 0.12 else ""
        if self.rng.random() < 0.42:
            lead = self.rng.choice(
                (
                    "a ",
                    "a ",
                    "a ",
                    "a new ",
                    "another ",
                    "a second ",
                    "an extra ",
                    "a replacement ",
                )
            )
            if lead == "a " and one[0] in "aeio":
                lead = "an "
            return item, f"{lead}{one}{detail}"
        quantity, text = self._quantity()
        self.stated["quantity"] = quantity
        noun = many if quantity > 1 else one
        if not self.corrected and self.rng.random() < _CORRECTION:
            text = self._correct("quantity", text, quantity)
            return item, f"{text} {noun}"
        forms = ["{} {}", "{} {}", "{} {}", "{} new {}", "{} more {}", "{} additional {}"]
        if not one.startswith("pair of"):
            forms += ["{} {}", "{1} (quantity {0})", "{1}, {0} of them", "{1}, quantity {0}"]
        if text.strip(f"{MARK}{END}").isdigit() and not one.startswith("pair of"):
            forms += ["{} x {}", "{}x {}", "{1} x{0}", "{1} x {0}", "{1}: {0}"]
        form = self.rng.choice(forms)
        return item, form.format(text, noun) + detail
