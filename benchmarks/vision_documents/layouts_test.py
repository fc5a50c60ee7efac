"""Pages of the split `test`, an examination on documents of another author.

    for image, truth in documents():    # as make_documents.documents("test")
        ...

Each page of test.toml is a form of its own: a real kind of document, written out line by line.
A form is filled once for each of its `variants`: "" in full, or the name of a field left out.

- `{no}`, `{date}`, `{date+14}`, `{vendor}`, `{legal}`, `{a1}`, `{a2}` (address), `{c1}` to `{c3}`
  (customer), `{time}`, `{cur}` and the amounts, which `let` defines: `{total}`, `{$total}` with
  the currency. `{v}` and `{c}` print nothing and mark what goes with the
  vendor and the currency.
- A line with a field that is left out goes; of `[a segment]` with it, the segment alone.
- `<a/b>` is one of the wordings, `_` a digit.
- `a | b` are cells of a row, `= a :: b | c :: d` boxes with labels above the values.
- Before a line: `!` bold, `!!` larger, `.` small, `^` centred, `>` at the right, `%` white,
  `,` tinted. `---`, `===` and `- -` are rules, `+3` is a gap in millimetres.
- `@ x y width [size [columns]]` starts a block; y `+3` is below all others, y `=` as the one
  before. `@cols 0 40r`, `@band y height` and `@box x y w h` draw. `*items` repeats `item`.

The truth follows the print: a field is null if its placeholder was never printed.
"""

from __future__ import annotations

import operator
import random
import re
import tomllib
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from content import MONTHS
from PIL import Image
from sheet import FACES, POINT, Color, Face, Sheet, degrade, faces

HERE = Path(__file__).parent
KINDS = ["clean", "degraded", "turned", "degraded", "clean"]
TINTS: list[Color] = [(20, 70, 140), (120, 20, 80), (0, 100, 60), (170, 70, 0), (40, 40, 45)]
PALE = (240, 240, 240)
FACES["test"] = [
    "",
    "DejaVuSans DejaVuSans-Bold",
    "DejaVuSansCondensed DejaVuSansCondensed-Bold",
    "DejaVuSerifCondensed DejaVuSerifCondensed-Bold",
    "STIXGeneral STIXGeneralBol",
    "DejaVuSansMono DejaVuSansMono-Bold",
]


def documents(seed: int = 0) -> Iterator[tuple[Image.Image, dict[str, Any]]]:
    """Pictures and their truth, in an order that mixes languages and kinds."""
    rng = random.Random(f"test-{seed}")
    data = tomllib.loads((HERE / "test.toml").read_text(encoding="utf-8"))
    plan = [
        (data["locale"][page["locale"]] | page, absent, turn)
        for page in data["page"]
        for turn, absent in enumerate(page.get("variants", [""]))
    ]
    rng.shuffle(plan)
    for number, (page, absent, turn) in enumerate(plan):
        yield document(page, absent, turn, number, random.Random(rng.random()))


def document(
    page: dict[str, Any], absent: str, turn: int, number: int, rng: random.Random
) -> tuple[Image.Image, dict[str, Any]]:
    """One picture and its truth."""
    # 1. The form, filled.
    form, receipt = Form(page, absent, turn, rng), page["schema"] == "receipt"
    # 2. The page.
    face = _face(page, receipt, rng)
    width, height = page.get("size", [80, 320] if receipt else [210, 297])
    sheet = Sheet(width, height, 200 if width < 110 else 150, face)
    pen = Pen(sheet, rng.choice(TINTS))
    for line in page["text"].strip().split("\n"):
        pen.write(line, form)
    if height == 320:  # the roll of a till
        sheet.crop(pen.bottom + 7)
    # 3. Distortion.
    image, kind = sheet.image, KINDS[number % len(KINDS)]
    if kind == "degraded":
        image = degrade(image, rng, 1 if receipt else rng.choice([1, 0.85, 0.7]))
    elif kind == "turned":
        image = image.rotate(rng.choice([90, 180, 270]), expand=True)
    return image, {
        "file": f"test-{number:03}.{'jpg' if kind == 'degraded' else 'png'}",
        "schema": page["schema"],
        "kind": kind,
        "language": page["language"],
        "fields": form.fields,
        "accept": {"vendor": [form.vendor["legal"]]} if "legal" in form.printed else {},
        "about": f"{page['country']}, {page['id']}" + (f", no {absent}" if absent else ""),
        "text": "\n".join(sheet.runs),
    }


def _face(page: dict[str, Any], receipt: bool, rng: random.Random) -> Face:
    """A font that has all letters of a page; receipts prefer fixed widths, invoices avoid them."""
    text = page["text"] + " ".join(
        map(str, (page.get("goods"), page["vendors"], page["customers"]))
    )
    fits = [face for face in faces("test") if face.covers(text)] or [faces("test")[-1]]
    mono = receipt and rng.random() < 0.45
    return rng.choice([face for face in fits if face.mono == mono] or fits)


class Form:
    """What is filled into a page: names, numbers, dates and amounts; `fields` is the truth."""

    def __init__(self, page: dict[str, Any], absent: str, turn: int, rng: random.Random):
        self.page, self.absent, self.rng = page, absent, rng
        keys = ("vendor", "legal", "a1", "a2")
        parts = page["vendors"][turn % len(page["vendors"])].split("; ")
        self.vendor: dict[str, str] = dict(zip(keys, [*parts, "", "", ""], strict=False))
        self.vendor["legal"] = self.vendor["legal"] or parts[0]
        self.customer: dict[str, str] = dict(
            zip(("c1", "c2", "c3"), rng.choice(page["customers"]), strict=True)
        )
        self.day = date(2023, 6, 1) + timedelta(rng.randrange(1100))
        self.number = self.digits(rng.choice(page.get("numbers", ["______"])), lead=True)
        self.dates: str = rng.choice(page["dates"])
        self.money: str = rng.choice(page["money"])
        self.group = rng.choice(page["groups"])
        self.places = page.get("places", 2)
        self.printed: set[str] = set()
        self.items = self._pick_items()
        self.values = {"goods": Decimal(0), "n": Decimal(0)}
        for item in self.items:
            self.values["goods"] += item["sum"]
            self.values["n"] += item["qty"]
        self.exact = {"n": 0, "qty": 0, "i": 0}  # decimals of values other than amounts
        for line in page.get("let", ["total = goods"]):
            self._let(*line.split())

    @property
    def fields(self) -> dict[str, str | None]:
        """What a careful reader would write down; None for what was not printed."""
        values = {
            "vendor": ("vendor", self.vendor["vendor"]),
            "invoice_number": ("no", self.number),
            "date": ("date", self.day.isoformat()),
            "total": ("total", str(self.values["total"])),
            "currency": ("cur", self.page["currency"]),
        }
        return {name: v if key in self.printed else None for name, (key, v) in values.items()}

    def fill(self, text: str, item: dict[str, Any] | None = None) -> str | None:
        """A text with its placeholders filled; None if it has a field that is left out."""
        text = re.sub(r"<([^<>]*)>", lambda m: self.rng.choice(m[1].split("/")), text)
        text = re.sub(r"\[([^\[\]]*)\]", lambda m: "" if self._gone(m[1]) else m[1], text)
        if self._gone(text):
            return None
        return re.sub(r"\{([^{}]+)\}", lambda m: self._value(m[1], item), self.digits(text))

    def _gone(self, text: str) -> bool:
        keys = {"vendor": "vendor|legal|a1|a2|v", "cur": "cur|c"}.get(self.absent)
        return bool(self.absent and re.search(rf"\{{({keys or self.absent})\}}", text))

    def _value(self, key: str, item: dict[str, Any] | None) -> str:
        """The text of a placeholder, noted as printed."""
        name = key.lstrip("$")
        self.printed.add(name)
        if key.startswith("$") and self.absent != "cur":
            self.printed.add("cur")
        if key in self.vendor or key in self.customer:
            return (self.vendor | self.customer)[key]
        if shift := re.fullmatch(r"date([+-]\d+)?", key):
            return self.format_date(self.day + timedelta(int(shift[1] or 0)))
        if key in ("v", "c"):
            return ""
        if key == "no":
            return self.number
        if key == "time":
            return f"{self.rng.randint(8, 21):02}:{self.rng.randint(0, 59):02}"
        if key == "cur":
            return str(self.page.get("cur") or self.page["money"][0]).replace("{}", "").strip()
        if item and key == "name":
            return str(item["name"])
        amount = item[name] if item and name in item else self.values[name]
        return self.amount(amount, self.exact.get(name), key.startswith("$"))

    def amount(self, amount: Decimal, places: int | None, symbol: bool) -> str:
        """An amount as this document prints it."""
        decimals = self.places if places is None else places
        whole, _, cents = f"{abs(amount):.{decimals}f}".partition(".")
        size = 2 if self.group == "lakh" else 3
        head, tail = whole[:-3], whole[-3:]
        parts = [head[max(0, i - size) : i] for i in range(len(head), 0, -size)][::-1]
        sign = "," if self.group == "lakh" else self.group
        text = sign.join([*parts, tail]) + (self.page["decimal"] + cents if cents else "")
        text = self.money.format(text) if symbol and self.absent != "cur" else text
        return ("-" if amount < 0 else "") + text

    def format_date(self, day: date) -> str:
        """A day as this document prints it."""
        month = self.page.get("months", MONTHS)[day.month - 1]
        th = "th" if 10 < day.day < 14 else {1: "st", 2: "nd", 3: "rd"}.get(day.day % 10, "th")
        return self.dates.format(
            d=day.day,
            dd=f"{day.day:02}",
            m=day.month,
            mm=f"{day.month:02}",
            y=day.year,
            yy=f"{day.year % 100:02}",
            month=month,
            mon=month[:3],
            MON=month[:3].upper(),
            th=th,
        )

    def digits(self, text: str, lead: bool = False) -> str:
        """Digits for `_`; in numbers letters for `?`, YYYY the year, no zero first."""
        if lead:
            text = text.replace("YYYY", f"{self.day:%Y}").replace("YY", f"{self.day:%y}")
            text = re.sub(r"\?", lambda _: self.rng.choice("ABCDEFHKMNPRTXZ"), text)
            text = text.replace("_", self.rng.choice("123456789"), 1)
        return re.sub("_", lambda _: self.rng.choice("0123456789"), text)

    def _pick_items(self) -> list[dict[str, Any]]:
        """Some goods: name, quantity, price, sum."""
        goods = [entry.rsplit(" ", 1) for entry in self.page.get("goods", [])]
        least, most = self.page.get("items", [2, 6])
        count = self.rng.randint(min(least, len(goods)), min(most, len(goods)))
        items = []
        for i, (name, price) in enumerate(self.rng.sample(goods, count), 1):
            quantity = self.rng.choice(self.page.get("counts", [1, 1, 1, 2, 3]))
            value = self._round(Decimal(price) * Decimal(self.rng.choice([1, 1.1, 0.9, 1.25])))
            items.append({"name": self.digits(name), "qty": quantity, "price": value, "i": i})
            items[-1]["sum"] = value * quantity
        return items

    def _let(self, name: str, _: str, left: str, sign: str = "", right: str = "0") -> None:
        """Define `name = a + b`; also - * /, % (tax in a sum), `rand`, `up` and `to` a multiple.

        `name:3` has three decimals and is not an amount.
        """
        name, _, places = name.partition(":")
        a, b = self.values.get(left), self.values.get(right)
        x = Decimal(left) if a is None else a
        y = Decimal(right) if b is None else b
        if sign == "rand":
            value = x + (y - x) * self.rng.randrange(1000) / 1000
        elif sign in ("up", "to"):  # the multiple of y above x, or the nearest
            value = (x / y).to_integral_value("ROUND_CEILING" if sign == "up" else None) * y
        else:
            operators = {"*": operator.mul, "-": operator.sub, "/": operator.truediv}
            value = x * y / (100 + y) if sign == "%" else operators.get(sign, operator.add)(x, y)
        if places:
            self.exact[name] = int(places)
        self.values[name] = self._round(value, int(places) if places else None)

    def _round(self, amount: Decimal, places: int | None = None) -> Decimal:
        return amount.quantize(Decimal(10) ** -(self.places if places is None else places))


class Pen:
    """Writes the lines of a page on a sheet, block by block; `bottom` is below all of them."""

    def __init__(self, sheet: Sheet, tint: Color):
        self.sheet, self.tint = sheet, tint
        narrow = sheet.width < 110
        self.size = sheet.width / 10 if narrow else 9.0
        self.x = self.start = 4.0 if narrow else 20.0
        self.y = self.bottom = 5.0 if narrow else 15.0
        self.width = sheet.width - 2 * self.x
        self.cols = ["0", f"{self.width}r"]

    def write(self, line: str, form: Form) -> None:
        """Draw one line of a page."""
        if line.startswith("@"):
            self._place(*line[1:].split())
        elif line.startswith("*items"):
            for item in form.items:
                for part in form.page.get("item", "{name} | {sum}").split("\n"):
                    self._line(form.fill(part, item) or "")
        elif line.startswith("= "):
            cells = [form.fill(cell.strip()) for cell in line[2:].split("|")]
            self._grid([cell for cell in cells if cell])
        else:
            self._line(form.fill(line))
        self.bottom = max(self.bottom, self.y)

    def _place(self, word: str, *rest: str) -> None:
        """Start a block, set columns, or draw a band or a box."""
        if word == "cols":
            self.cols = list(rest) or ["0", f"{self.width}r"]
        elif word == "band":
            y, height = map(float, rest)
            self.sheet.box(0, y, self.sheet.width, y + height, fill=self.tint)
        elif word == "box":
            x, y, width, height = map(float, rest)
            self.sheet.box(x, y, x + width, y + height, line=0.25)
        else:
            self._start(float(word), *rest)

    def _start(self, x: float, y: str, width: str, size: str = "", *cols: str) -> None:
        """Start a block at (x, y); without a size it keeps that of the block before."""
        top = self.bottom + float(y) if y.startswith("+") else self.start
        self.y = self.start = top if y[0] in "+=" else float(y)
        self.x, self.width, self.size = x, float(width), float(size or self.size)
        self.cols = list(cols) or ["0", f"{self.width}r"]

    def _line(self, line: str | None) -> None:
        """Draw a rule, a gap, a row of cells, or a text, which wraps if it is long."""
        if line is None:
            return
        end = self.x + self.width
        if re.fullmatch(r"-{3,}|={3,}|- -", line):
            dash = 1.2 if line == "- -" else 0
            self.sheet.rule(self.x, self.y + 1, end, 0.5 if line[0] == "=" else 0.2, dash)
            self.y += 2.6
            return
        if re.fullmatch(r"\+[\d.]+", line):
            self.y += float(line)
            return
        marks, text = re.fullmatch(r"((?:[!.^>%,]+ )*)(.*)", line).groups()  # type: ignore[union-attr]
        size = self.size * (1.0, 1.0, 1.45, 1.9)[marks.count("!")] * (0.8 if "." in marks else 1)
        style: dict[str, Any] = {"bold": "!" in marks}
        style["color"] = (255, 255, 255) if "%" in marks else self.tint if "," in marks else None
        if "|" in text:
            self._row(
                [re.sub(r"^[!.%]+ ", "", cell.strip()) for cell in text.split("|")], size, style
            )
        elif not set(marks) & set("!^>%,") and self.sheet.measure(text, size) > self.width:
            self.y = self.sheet.paragraph(self.x, self.y, text, self.width, size)
            return
        else:
            align = "c" if "^" in marks else "r" if ">" in marks else "l"
            x = {"c": self.x + self.width / 2, "r": end, "l": self.x}[align]
            self.sheet.text(x, self.y, text.strip(), size, align=align, fit=self.width, **style)
        self.y += size * POINT * 1.34

    def _row(self, cells: list[str], size: float, style: dict[str, Any]) -> None:
        """Draw cells at the columns; those at the left edge of one fit before the next."""
        limit = self.x + self.width
        drawn = []
        cols = self.cols if len(cells) <= len(self.cols) else ["0", f"{self.width}r"]
        for col, cell in reversed(list(zip(cols, cells, strict=False))):
            x, right = self.x + float(col.rstrip("r")), col.endswith("r")
            if not cell:
                continue
            drawn.append((x, cell, "r" if right else "l", 0 if right else limit - x - 1))
            limit = x - self.sheet.measure(cell, size, style["bold"]) if right else x
        for x, cell, align, fit in reversed(drawn):
            self.sheet.text(x, self.y, cell, size, align=align, fit=fit, **style)

    def _grid(self, cells: list[str]) -> None:
        """Draw boxes of the same width with a small label above each value."""
        step, height = self.width / max(1, len(cells)), self.size * POINT * 2.7
        for i, cell in enumerate(cells):
            label, _, value = (part.strip() for part in cell.partition("::"))
            x = self.x + i * step
            self.sheet.box(x, self.y, x + step, self.y + height, line=0.2)
            self.sheet.text(x + 1.2, self.y + 0.8, label, self.size * 0.7, fit=step - 2)
            self.sheet.text(x + 1.2, self.y + height * 0.45, value, self.size, fit=step - 2)
        self.y += height
