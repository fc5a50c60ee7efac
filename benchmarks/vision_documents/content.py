"""What a document says: its parties, numbers, dates, goods and sums, and the truth about it.

    document = Document(locale, "invoice", random.Random(3), absent="date")
    document.fields                 # the truth: vendor, invoice_number, date, total, currency
    document.info(), document.goods(), document.sums()    # texts for the layouts

Locales are tables of `dev.toml` and `more.toml`. Layouts print everything they are passed, so that
the truth is on the page, and nothing else.
"""

from __future__ import annotations

import random
import re
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

MONTHS = (
    "January February March April May June July August September October November December".split()
)
Row = tuple[str, str, bool]  # label, amount, whether it is set off
CURRENCY = re.compile(
    r"[€$£₹]|\b(EUR|EUROS?|USD|GBP|INR|CHF|CAD|AUD|JPY|SEK|PLN|RM|Rs|Fr\.|kr|zł)", re.I
)


class Document:
    """One invoice or receipt; `absent` names a field that is nowhere on it.

    `story` says how it was settled: plain, discount, shipping, deposit, paid, exempt, foreign,
    credit, withheld for invoices; cash, card, tip, rounding, discount for receipts.
    """

    def __init__(self, locale: dict[str, Any], schema: str, rng: random.Random, absent: str = ""):
        self.locale, self.schema, self.rng, self.absent = locale, schema, rng, absent
        self.receipt = schema == "receipt"
        self.labels: dict[str, str] = {}
        self.vendor = self._pick_vendor()
        self.trade = locale["trades"][self.vendor[4]]
        self.day = date(2024, 1, 1) + timedelta(rng.randrange(1000))
        self.date_format = rng.choice(locale["dates"])
        self.number = self._digits(rng.choice(locale["receipts" if self.receipt else "numbers"]))
        self.places = locale.get("places", 2)
        self.template = "{}" if absent == "currency" else rng.choice(locale["money"])
        # Where the currency is printed: with every amount, in the sums, or in the last sum alone.
        self.spread = rng.choice(["all", "sums", "sums", "last"])
        self.story = self._pick_story()
        self.phone = self._digits(locale["phone"])
        self.legal = [self._digits(text) for text in locale["legal"]]
        self.customer = rng.choice(locale["customers"])
        # Half of the credit notes print negative amounts.
        self.sign = -1 if self.story == "credit" and rng.random() < 0.5 else 1
        self.items = self._pick_items()
        self.taxes: list[tuple[float, Decimal, Decimal]] = []  # rate, base without tax, tax
        self.total, self.rows = self._settle()

    @property
    def fields(self) -> dict[str, str | None]:
        """What a careful reader would write down; None for what is not on the page."""
        currency = self.locale["currency"]
        fields = {
            "vendor": self.vendor[0],
            "invoice_number": self.number,
            "date": self.day.isoformat(),
            "total": str(self.total),
            "currency": currency,
        }
        gone = {"invoice_number" if self.absent == "number" else self.absent}
        if self.absent == "total":
            gone.add("currency")
        return {name: None if name in gone else value for name, value in fields.items()}

    # ── texts ───────────────────────────────────────────────────────────────────────────────

    def say(self, key: str) -> str:
        """The label of a field in this document, the same one every time."""
        if key not in self.labels:
            labels = self.locale["labels"].get(key, [""])
            if self.absent in ("currency", "total"):
                labels = [label for label in labels if not CURRENCY.search(label)]
            self.labels[key] = self.rng.choice(labels)
        return self.labels[key]

    @property
    def title(self) -> str:
        """Invoice, credit note, or delivery note where no total is printed."""
        if self.receipt:
            return self.say("receipt_title")
        return self.say(
            "delivery"
            if self.absent == "total"
            else "credit"
            if self.story == "credit"
            else "title"
        )

    @property
    def letterhead(self) -> list[str]:
        """Address and telephone of the vendor; nothing if it is absent."""
        return [] if self.absent == "vendor" else [*self.vendor[2:4], self.phone]

    @property
    def name(self) -> str:
        """The vendor's name; empty if it is absent."""
        return "" if self.absent == "vendor" else self.vendor[0]

    @property
    def tagline(self) -> str:
        """The line under the vendor's name."""
        return "" if self.absent == "vendor" else self.vendor[1]

    @property
    def footer(self) -> list[str]:
        """Legal name, registrations and bank account, in small print."""
        return ([] if self.absent == "vendor" else [self.vendor[5] or self.vendor[0]]) + self.legal

    def info(self) -> list[tuple[str, str]]:
        """Labels and values of the block with the number and the date."""
        rng, rows = self.rng, []
        if self.absent != "number":
            rows.append((self.say("number"), self.number))
        if self.absent != "date":
            rows.append((self.say("date"), self.format_date(self.day)))
        rng.shuffle(rows)
        more = [(self.say("customer_no"), self._digits("{n5}"))]
        if rng.random() < 0.6 and self.story not in ("paid", "credit"):
            more.append((self.say("due"), self.format_date(self.day + timedelta(30))))
        if rng.random() < 0.4:
            more.append((self.say("order"), self._digits("{n6}")))
        if rng.random() < 0.3:
            more.append((self.say("shipped"), self.format_date(self.day - timedelta(4))))
        more += [(label, self._extra(value)) for label, value in self.trade.get("extras", [])]
        rng.shuffle(more)
        return more[:1] + rows + more[1:] if rng.random() < 0.3 else rows + more

    def goods(self) -> tuple[list[str], list[list[str]]]:
        """Headings and rows of the items: description, quantity, price, amount."""
        headings = [self.say(key) for key in ("description", "quantity", "price", "amount")]
        if self.absent == "total":
            return headings[:2], [[name, str(count)] for name, count, *_ in self.items]
        every = self.spread == "all"
        rows = [
            [
                name,
                str(count),
                self.money(price, every),
                self.money(self.sign * count * price, every),
            ]
            for name, count, price, _ in self.items
        ]
        return headings, rows

    def sums(self) -> list[Row]:
        """The rows below the items, from the subtotal to the amount due."""
        if self.absent == "total":
            return []
        last = max(i for i, row in enumerate(self.rows) if row[2])
        return [
            (label, self.money(value, self.spread != "last" or i == last), strong)
            if isinstance(value, Decimal)
            else (label, value, strong)
            for i, (label, value, strong) in enumerate(self.rows)
        ]

    def vat_table(self) -> list[list[str]]:
        """Heading and rows of the tax by rate: rate, without tax, tax, with tax."""
        if self.absent == "total" or not self.taxes:
            return []
        heading = self.locale["labels"].get("vat_table", [])
        rows = [
            [f"{rate:g}%".replace(".", self.locale["decimal"])]
            + [self.money(self.sign * value, False) for value in (base, tax, base + tax)]
            for rate, base, tax in self.taxes
        ]
        return [heading, *rows] if heading else []

    def notes(self) -> list[str]:
        """Remarks below the sums."""
        notes = [self.say("terms")] if self.absent != "total" else []
        if self.story == "exempt":
            notes.insert(0, self.say("exempt"))
        if self.story == "foreign" and self.absent not in ("currency", "total"):
            notes.append(
                self.say("foreign").format(value=self.money(self.total * 113 / 100, False))
            )
        return notes

    def money(self, amount: Decimal, symbol: bool = True) -> str:
        """An amount as this document prints it, with the currency if `symbol`."""
        whole, _, cents = f"{abs(amount):.{self.places}f}".partition(".")
        group, head, tail = self.locale["group"], whole[:-3], whole[-3:]
        if head and group:
            size, sign = (2, ",") if group == "lakh" else (3, group)
            head = head.rjust(-len(head) // size * -size)
            parts = [head[i : i + size].strip() for i in range(0, len(head), size)]
            tail = sign.join([*parts, tail])
        else:
            tail = head + tail
        text = tail + (self.locale["decimal"] + cents if cents else "")
        return ("-" if amount < 0 else "") + (self.template.format(text) if symbol else text)

    def format_date(self, day: date) -> str:
        """A day as this document prints it."""
        months = self.locale.get("months", MONTHS)
        th = "th" if 10 < day.day < 14 else {1: "st", 2: "nd", 3: "rd"}.get(day.day % 10, "th")
        name = months[day.month - 1]
        return self.date_format.format(
            d=day.day,
            dd=f"{day.day:02}",
            m=day.month,
            mm=f"{day.month:02}",
            y=day.year,
            yy=f"{day.year % 100:02}",
            month=name,
            mon=name[:3],
            th=th,
            MON=name[:3].upper(),
        )

    def _extra(self, value: str) -> str:
        return self._digits(
            re.sub(r"@(-?\d+)", lambda m: self.format_date(self.day + timedelta(int(m[1]))), value)
        )

    def _digits(self, pattern: str) -> str:
        """Fill a pattern: {y} and {yy} the year, {n4} four digits, # one digit."""
        rng = self.rng
        text = re.sub(r"\{n(\d)\}", lambda match: "1" + "#" * (int(match[1]) - 1), pattern)
        text = re.sub("1#", lambda _: rng.choice("123456789") + "#", text)
        text = text.format(y=self.day.year, yy=self.day.year % 100)
        return "".join(rng.choice("0123456789") if c == "#" else c for c in text)

    # ── choices ─────────────────────────────────────────────────────────────────────────────

    def _pick_vendor(self) -> list[str]:
        """A vendor whose trade fits: those without `extras` write receipts."""
        trades, vendors = self.locale["trades"], self.locale["vendors"]["list"]
        fits = [v for v in vendors if self.receipt != ("extras" in trades[v[4]])]
        return self.rng.choice(fits or vendors)

    def _pick_story(self) -> str:
        receipt = "cash cash card card tip tip rounding rounding discount plain"
        invoice = (
            "plain plain rates rates deposit deposit paid paid discount shipping exempt foreign"
            " credit withheld withheld"
        )
        stories = receipt if self.receipt else invoice
        needs = {"tip": "tip", "rounding": "rounding", "withheld": "withheld"}
        labels = self.locale["labels"]
        fits = [s for s in stories.split() if needs.get(s, "title") in labels]
        fits = [s for s in fits if s != "rates" or self.locale.get("second_rate")]
        return "plain" if self.absent == "total" else self.rng.choice(fits)

    def _pick_items(self) -> list[tuple[str, int, Decimal, float]]:
        """Two to five goods: name, count, price, tax rate."""
        rng, goods, rates = self.rng, self.trade["items"], self.locale["rates"]
        items = []
        for i, (name, price) in enumerate(rng.sample(goods, rng.randint(2, min(5, len(goods))))):
            value = self._round(Decimal(str(price * rng.uniform(0.8, 1.3))))
            rate = self.locale["second_rate"] if self.story == "rates" and i % 2 else rates[0]
            items.append((name, rng.choice([1, 1, 1, 2, 3, 4, 6]), value, rate))
        return items

    # ── sums ────────────────────────────────────────────────────────────────────────────────

    def _settle(self) -> tuple[Decimal, list[tuple[str, Any, bool]]]:
        """The truth about the total, and the rows that lead to it.

        The total is the amount due if one above zero is printed, else the final amount with tax.
        """
        story, say = self.story, self.say
        # 1. The goods by tax rate, with a discount or the shipping.
        bases: dict[float, Decimal] = {}
        for _, count, price, rate in self.items:
            bases[rate] = bases.get(rate, Decimal(0)) + count * price
        included = self.receipt and not self.locale.get("added")
        goods = sum(bases.values(), Decimal(0))
        rows = [(say("subtotal" if included else "net"), goods, False)]
        if story in ("discount", "shipping"):
            change = self._round(-goods / 10 if story == "discount" else goods / 12)
            bases[self.locale["rates"][0]] += change
            rows.append((say(story), change, False))
        elif included or story == "exempt":
            rows = []
        # 2. The tax of each rate: included in the prices of most receipts, else added.
        divisor = {rate: 100 + Decimal(str(rate)) if included else Decimal(100) for rate in bases}
        taxes = [(r, self._round(b * Decimal(str(r)) / divisor[r])) for r, b in bases.items()]
        taxes = [] if story == "exempt" else taxes
        self.taxes = [(r, bases[r] - (tax if included else 0), tax) for r, tax in taxes]
        total, tail = sum(bases.values(), Decimal(0)), []
        for rate, tax in taxes:
            if included:
                tail.append((self._tax_label("included", rate), tax, False))
            else:
                rows.append((self._tax_label("tax", rate), tax, False))
                total += tax
        # 3. What is paid in addition or held back, the total, and what was paid already.
        rows = [(label, value * self.sign, strong) for label, value, strong in rows]
        total, more = self._adjust(total * self.sign, sum(bases.values(), Decimal(0)))
        rows += [*more, (self._total_label(), total, True)]
        due, payments = self._pay(total)
        return due, rows + payments + tail

    def _adjust(self, total: Decimal, base: Decimal) -> tuple[Decimal, list[tuple[str, Any, bool]]]:
        """Tip, rounding to 0.05, or withheld tax."""
        change = {
            "tip": self._round(base * Decimal("0.18")),
            "rounding": self._round((total * 20).quantize(Decimal(1)) / 20 - total),
            "withheld": -self._round(base * Decimal("0.15")),
        }.get(self.story)
        if change is None:
            return total, []
        return total + change, [(self.say(self.story), change, False)]

    def _pay(self, total: Decimal) -> tuple[Decimal, list[tuple[str, Any, bool]]]:
        """The amount that counts as the total, and the rows of the payment."""
        story, say = self.story, self.say
        if story == "deposit":
            part = self._round(total * Decimal(self.rng.choice(["0.3", "0.5", "0.25"])))
            due = total - part
            return due, [(say("deposit"), -part, False), (say("balance"), due, True)]
        if story == "paid":
            return total, [(say("paid"), -total, False), (say("balance"), total * 0, False)]
        if story in ("cash", "rounding"):
            notes = (5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10**6)
            note = Decimal(next(note for note in notes if note >= total))
            return total, [(say("cash"), note, False), (say("change"), note - total, False)]
        if self.receipt and story != "plain":
            return total, [(say("card"), total, False)]
        return total, []

    def _total_label(self) -> str:
        """The label of the total, which calls for payment on some unpaid invoices."""
        if self.receipt:
            label = self.say("grand" if self.story == "tip" else "receipt_total")
            return label.format(items=sum(count for _, count, *_ in self.items))
        unpaid = self.story in ("plain", "rates", "withheld", "shipping")
        return (unpaid and self.rng.random() < 0.5 and self.say("payable")) or self.say("total")

    def _round(self, amount: Decimal) -> Decimal:
        return amount.quantize(Decimal(10) ** -self.places)

    def _tax_label(self, key: str, rate: float) -> str:
        return self.say(key).format(rate=f"{rate:g}".replace(".", self.locale["decimal"]))
