"""Layouts of the split `more`, which share no drawing code with those of the development split."""

from __future__ import annotations

import random
from datetime import timedelta

from content import Document
from sheet import Color, Sheet

TINTS: list[Color] = [(0, 95, 115), (155, 34, 38), (60, 60, 60), (46, 84, 36), (72, 52, 117)]
PALE = (238, 240, 242)
DIM = (95, 95, 100)
WHITE = (255, 255, 255)


def band(sheet: Sheet, doc: Document, rng: random.Random) -> None:
    """A coloured band with the name in white, facts in columns, zebra rows, a panel of sums."""
    x0, x1, tint = 17.0, sheet.width - 17, rng.choice(TINTS)
    sheet.box(0, 0, sheet.width, 34, fill=tint)
    sheet.text(x0, 10, doc.name, 21, bold=True, color=WHITE, fit=115)
    sheet.text(x0, 22, doc.tagline, 9, color=WHITE)
    sheet.lines(x1, 9, doc.letterhead, 8.5, align="r", color=WHITE)
    sheet.text(x0, 42, doc.title, 19, color=tint)
    # Facts in columns, labels above the values, without boxes.
    facts, width, y = doc.info(), (x1 - x0) / 3, 55.0
    for i, (label, value) in enumerate(facts):
        x = x0 + i % 3 * width
        sheet.text(x, y, label.upper(), 7, color=DIM)
        sheet.text(x, y + 3.6, value, 10, fit=width - 4)
        y += 12 if i % 3 == 2 or i == len(facts) - 1 else 0
    sheet.text(x0, y + 2, doc.say("bill_to").upper(), 7, color=DIM)
    y = sheet.lines(x0, y + 6, doc.customer, 10) + 6
    # Zebra rows.
    headings, rows = doc.goods()
    edges = [x0 + 104, x0 + 138, x1 - 2][-len(headings) + 1 :]
    for n, (first, *rest) in enumerate([headings, *rows]):
        if n % 2 == 0:
            sheet.box(x0, y, x1, y + 7.4, fill=tint if n == 0 else PALE)
        color = WHITE if n == 0 else None
        sheet.text(x0 + 2, y + 1.7, first, 9, color=color, fit=78)
        for edge, value in zip(edges, rest, strict=True):
            sheet.text(edge, y + 1.7, value, 9, align="r", color=color, fit=32)
        y += 7.4
    # A shaded panel of sums.
    lines = doc.sums()
    if lines:
        y += 5
        sheet.box(x1 - 84, y, x1, y + 7 * len(lines) + 4, fill=PALE)
        y += 2.5
    for label, value, strong in lines:
        sheet.text(x1 - 81, y, label, 9, bold=strong, fit=44, color=tint if strong else None)
        sheet.text(x1 - 3, y, value, 12 if strong else 9, bold=strong, align="r")
        y += 7
    sheet.lines(x0, y + 8, doc.notes(), 8.5)
    sheet.lines(sheet.width / 2, sheet.height - 26, doc.footer, 7, align="c")


def sidebar(sheet: Sheet, doc: Document, rng: random.Random) -> None:
    """A column at the side with vendor, facts and small print; the document beside it."""
    at_right, tint = rng.random() < 0.5, rng.choice(TINTS)
    s0 = sheet.width - 62 if at_right else 0.0
    x0, x1 = (16.0, sheet.width - 72) if at_right else (74.0, sheet.width - 14)
    sheet.box(s0, 0, s0 + 62, sheet.height, fill=PALE)
    y, words = 16.0, doc.name.split()
    if len(doc.name) > 16 and len(words) > 1:  # a name in two lines
        half = (len(words) + 1) // 2
        y = sheet.text(s0 + 8, y, " ".join(words[:half]), 15, bold=True, color=tint, fit=50)
        y = sheet.text(s0 + 8, y, " ".join(words[half:]), 15, bold=True, color=tint, fit=50)
    else:
        y = sheet.text(s0 + 8, y, doc.name, 16, bold=True, color=tint, fit=50)
    y = sheet.text(s0 + 8, y, doc.tagline, 8, fit=50)
    y = sheet.lines(s0 + 8, y + 3, doc.letterhead, 8, fit=50) + 8
    for label, value in doc.info():
        y = sheet.text(s0 + 8, y, label, 7.5, bold=True)
        y = sheet.text(s0 + 8, y, value, 9, fit=50) + 2.5
    for line in doc.footer:
        y = sheet.paragraph(s0 + 8, max(y, 205), line, 48, 7) + 1
    sheet.text(x0, 18, doc.title.upper(), 20, bold=True)
    y = sheet.text(x0, 40, doc.say("bill_to"), 8, color=DIM)
    y = sheet.lines(x0, y, doc.customer, 10) + 10
    # Goods in two lines each: name and amount, below it the calculation.
    _, rows = doc.goods()
    for name, *rest in rows:
        sheet.text(x0, y, name, 10, fit=x1 - x0 - 34)
        if len(rest) == 3:
            sheet.text(x1, y, rest[2], 10, align="r")
            sheet.text(x0, y + 4.6, f"{rest[0]} × {rest[1]}", 8, color=DIM)
        else:
            sheet.text(x1, y, rest[0], 10, align="r")
        sheet.rule(x0, y + 9.5, x1, 0.1)
        y += 11.5
    for label, value, strong in doc.sums():
        if strong:
            sheet.rule(x0, y, x1, 0.6)
            y += 1.5
        sheet.text(x0, y, label, 12 if strong else 9, bold=strong, fit=x1 - x0 - 42)
        y = sheet.text(x1, y, value, 12 if strong else 9, bold=strong, align="r") + 1.5
    for note in doc.notes():
        y = sheet.paragraph(x0, y + 5, note, x1 - x0, 8.5)


def personal(sheet: Sheet, doc: Document, rng: random.Random) -> None:
    """A freelancer's letter: sender at the right, place and date, number in the subject line."""
    x0 = rng.choice([20.0, 25.0])
    x1 = sheet.width - x0
    y = sheet.text(x1, 20, doc.name, 12, bold=True, align="r", fit=120)
    y = sheet.text(x1, y, doc.tagline, 9.5, align="r")
    sheet.lines(x1, y, doc.letterhead, 9.5, align="r")
    y = sheet.lines(x0, 50, doc.customer, 10.5) + 10
    if doc.absent != "date":
        place = "".join(c for c in doc.vendor[3].split(",")[0] if not c.isdigit()).strip(" -")
        place = " ".join(word for word in place.split() if not word.isupper())
        day = doc.format_date(doc.day)
        y = sheet.text(x1, y, f"{place}, {day}" if place else day, 10.5, align="r") + 6
    subject = doc.title
    if doc.absent != "number":
        subject += " " + doc.say("no").format(doc.number)
    y = sheet.text(x0, y, subject, 12, bold=True) + 2
    for label, value in doc.info():
        if value not in (doc.number, doc.format_date(doc.day)):
            y = sheet.text(x0, y, f"{label} {value}", 10)
    y += 7
    for name, *rest in doc.goods()[1]:
        text = name if rest[0] == "1" else f"{rest[0]} × {name}"
        end = sheet.text(x0, y, text, 10.5, fit=105)
        if len(rest) == 3:
            sheet.text(x1, y, rest[2], 10.5, align="r")
        y = end + 2
    sheet.rule(x0, y, x1)
    y += 2.5
    for label, value, strong in doc.sums():
        sheet.text(x0, y, label, 10.5, bold=strong)
        y = sheet.text(x1, y, value, 10.5, bold=strong, align="r") + 2
    y += 8
    for line in [*doc.notes(), *doc.footer[1:]]:
        y = sheet.paragraph(x0, y, line, x1 - x0, 10) + 1.5
    sheet.text(x0, y + 14, doc.name, 10)


def parties(sheet: Sheet, doc: Document, rng: random.Random) -> None:
    """A form of two parties side by side, a numbered grid, tax by rate, the sum in a box."""
    x0, x1 = 14.0, sheet.width - 14
    middle = (x0 + x1) / 2
    centred = rng.random() < 0.5
    sheet.text(
        middle if centred else x0, 15, doc.title, 17, bold=True, align="c" if centred else "l"
    )
    y = 27.0
    for i, (label, value) in enumerate(doc.info()):
        sheet.text(middle + 4 if i % 2 else x0, y, f"{label}: {value}", 9, fit=middle - x0 - 6)
        y += 5.5 if i % 2 else 0
    y += 9
    swap = rng.random() < 0.3
    blocks = [
        (doc.say("seller"), [doc.name, *doc.letterhead, *doc.legal[:1]] if doc.name else []),
        (doc.say("bill_to"), list(doc.customer)),
    ]
    for x, (label, lines) in zip(
        (x0, middle + 4), reversed(blocks) if swap else blocks, strict=True
    ):
        sheet.box(x, y, x + middle - x0 - 4, y + 6, fill=PALE)
        sheet.text(x + 2, y + 1.2, label, 8.5, bold=True)
        sheet.lines(x + 2, y + 8, lines, 9.5, fit=middle - x0 - 10)
    # A grid with a column of numbers.
    y += 38
    top, (headings, rows) = y, doc.goods()
    edges = [x0, x0 + 9, x1 - 78, x1 - 60, x1 - 31, x1]
    edges = edges if len(headings) == 4 else [*edges[:3], x1]
    for n, row in enumerate([headings, *rows]):
        sheet.text(x0 + 7.5, y + 1.4, str(n) if n else "", 8.5, align="r")
        sheet.text(x0 + 11, y + 1.4, row[0], 8.5, bold=n == 0, fit=edges[2] - x0 - 13)
        for edge, value in zip(edges[3:], row[1:], strict=True):
            sheet.text(
                edge - 1.5,
                y + 1.4,
                value,
                8.5,
                bold=n == 0,
                align="r",
                fit=16 if edge == edges[3] else 27,
            )
        sheet.rule(x0, y, x1)
        y += 6.6
    sheet.rule(x0, y, x1)
    for edge in edges:
        sheet.box(edge, top, edge + 0.15, y, fill=sheet.ink)
    # Tax by rate at the left, the sums at the right.
    y += 6
    left = y
    for n, row in enumerate(doc.vat_table()):
        for edge, value in zip((12, 34, 54, 78), row, strict=True):
            sheet.text(x0 + edge, left, value, 8, bold=n == 0, align="r", fit=20)
        left += 5
    for label, value, strong in doc.sums():
        if strong:
            sheet.box(x1 - 88, y - 1, x1, y + 7, line=0.3)
            y += 0.8
        sheet.text(x1 - 86, y, label, 10 if strong else 9, bold=strong, fit=52)
        y = sheet.text(x1 - 2, y, value, 10 if strong else 9, bold=strong, align="r") + 2.5
    y = sheet.lines(x0, max(y, left) + 8, doc.notes(), 8.5) + 18
    sheet.rule(x0, y, x0 + 55, 0.2, dash=0.6)
    sheet.lines(x0, y + 2, doc.footer, 7, color=DIM)


def folio(sheet: Sheet, doc: Document, rng: random.Random) -> None:
    """Charges by day, as hotels, doctors and accounts print them; the name in the middle."""
    x0, x1, tint = 20.0, sheet.width - 20, rng.choice(TINTS)
    y = sheet.text(sheet.width / 2, 14, doc.name, 22, align="c", color=tint, fit=150)
    y = sheet.text(sheet.width / 2, y, doc.tagline, 9, align="c")
    y = sheet.text(sheet.width / 2, y, " - ".join(doc.letterhead), 8, align="c") + 8
    start = y
    y = sheet.lines(x0, y, doc.customer, 10)
    for label, value in doc.info():
        sheet.text(x1 - 34, start, label, 9, align="r", fit=46)
        start = sheet.text(x1 - 30, start, value, 9, fit=30) + 0.4
    y = sheet.text(x0, max(y, start) + 8, doc.title, 14, bold=True, color=tint) + 2
    headings, rows = doc.goods()
    sheet.rule(x0, y, x1, 0.4)
    for label, x, align in ((headings[0], x0 + 30, "l"), (headings[-1], x1, "r")):
        sheet.text(x, y + 1.5, label, 9, bold=True, align=align)
    y += 8
    days = doc.rng.randint(0, 2)
    for i, (name, *rest) in enumerate(rows):
        if doc.absent != "date":  # dates of charges, the last of which may be the day itself
            day = doc.day - timedelta(days + len(rows) - 1 - i)
            sheet.text(x0, y, doc.format_date(day), 8.5, fit=28)
        sheet.text(x0 + 30, y, name if rest[0] == "1" else f"{name} ({rest[0]})", 9, fit=90)
        y = sheet.text(x1, y, rest[-1], 9, align="r") + 1.6
    sheet.rule(x0, y, x1, 0.4)
    y += 3
    for label, value, strong in doc.sums():
        sheet.text(x1 - 38, y, label, 10 if strong else 9, bold=strong, align="r", fit=90)
        y = sheet.text(x1, y, value, 10 if strong else 9, bold=strong, align="r") + 1.4
    y += 8
    for note in doc.notes():
        y = sheet.text(sheet.width / 2, y, note, 9, align="c", fit=x1 - x0)
    for i, line in enumerate(doc.footer):
        sheet.text(sheet.width / 2, sheet.height - 28 + 3.4 * i, line, 7, align="c", color=DIM)


def slip(sheet: Sheet, doc: Document, rng: random.Random) -> None:
    """A bill of a utility: a large box with the amount at the top, a payment slip below."""
    x0, x1, tint = 18.0, sheet.width - 18, rng.choice(TINTS)
    sheet.box(x1 - 22, 12, x1, 34, fill=tint)
    if doc.name:
        sheet.text(x1 - 11, 17, doc.name[0], 30, bold=True, align="c", color=WHITE)
        sheet.runs.pop()  # a logo rather than text
    y = sheet.text(x0, 13, doc.name, 17, bold=True, color=tint, fit=130)
    y = sheet.text(x0, y, doc.tagline, 8.5)
    sheet.text(x0, y, ", ".join(doc.letterhead), 7.5, color=DIM)
    y = sheet.lines(x0, 46, doc.customer, 10) + 8
    lines = doc.sums()
    due = next((row for row in reversed(lines) if row[2]), None)
    # Facts at the left, the amount in a box at the right.
    top = y
    y = sheet.text(x0, y, doc.title, 15, bold=True) + 2
    for label, value in doc.info():
        sheet.text(x0, y, label, 8.5, color=DIM, fit=42)
        y = sheet.text(x0 + 44, y, value, 9.5, bold=True, fit=54) + 0.8
    if due:
        sheet.box(x1 - 66, top, x1, top + 24, line=0.8)
        sheet.text(x1 - 33, top + 3.5, due[0], 9.5, align="c", fit=60)
        sheet.text(x1 - 33, top + 10.5, due[1], 18, bold=True, align="c", fit=60)
    y = max(y, top + 28) + 6
    for name, *rest in doc.goods()[1]:
        sheet.text(x0, y, name, 9, fit=105)
        y = sheet.text(x1, y, rest[-1], 9, align="r") + 1.2
        sheet.rule(x0, y - 0.6, x1, 0.1)
    y += 2
    for label, value, strong in lines:
        sheet.text(x0, y, label, 9, bold=strong)
        y = sheet.text(x1, y, value, 9, bold=strong, align="r") + 1.2
    y = sheet.lines(x0, y + 5, doc.notes(), 7.5, fit=x1 - x0)
    sheet.paragraph(x0, y, " · ".join(doc.footer), x1 - x0, 7)
    # The slip.
    y = sheet.height - 52
    sheet.rule(0, y, sheet.width, 0.2, dash=1.5)
    sheet.text(x0, y + 6, doc.name, 9, fit=80)
    sheet.text(x0, y + 12, doc.legal[-1], 9, fit=110)
    if doc.absent != "number":
        sheet.text(x0, y + 18, f"{doc.say('number')} {doc.number}", 9)
    sheet.text(x0, y + 28, doc.customer[0], 9)
    if due:
        sheet.text(x1, y + 6, due[0], 8, align="r", fit=60)
        sheet.text(x1, y + 12, due[1], 11, bold=True, align="r")


def roll(sheet: Sheet, doc: Document, rng: random.Random) -> float:
    """A supermarket's or restaurant's roll: dense, letters for the tax, a table of tax by rate."""
    x0, x1 = 3.5, sheet.width - 3.5
    logo = rng.random() < 0.5
    if logo and doc.name:
        sheet.box(x0, 4, x1, 16, fill=sheet.ink)
        sheet.text(
            sheet.width / 2, 6.5, doc.name, 14, bold=True, align="c", color=WHITE, fit=x1 - x0 - 6
        )
        y = 18.0
    else:
        y = sheet.text(x0, 5, doc.name, 11, bold=True, fit=x1 - x0)
    y = sheet.lines(x0, y, [*doc.letterhead, doc.tagline, doc.legal[0]], 7.5) + 2
    y = sheet.text(x0, y, doc.title, 8.5, bold=True)
    _, rows = doc.goods()
    letters = dict(zip([rate for rate, *_ in doc.taxes], "ABC", strict=False))
    for (name, *rest), (_, count, _, rate) in zip(rows, doc.items, strict=True):
        if count > 1:
            y = sheet.text(x0 + 6, y, " x ".join(rest[:2]), 8)
        sheet.text(x0, y, name.upper(), 8, fit=42)
        mark = f" {letters[rate]}" if rate in letters else ""
        y = sheet.text(x1, y, rest[-1] + mark, 8, align="r") + 0.2
    y += 1.5
    for label, value, strong in doc.sums():
        sheet.text(x0, y, label, 11 if strong else 8, bold=strong, fit=36)
        y = sheet.text(x1, y, value, 11 if strong else 8, bold=strong, align="r") + 0.4
    if len(doc.taxes) > 1 or rng.random() < 0.4:
        y += 1.5
        for row in doc.vat_table():
            for edge, value in zip((0.2, 0.45, 0.7, 1), row, strict=True):
                sheet.text(x0 + edge * (x1 - x0), y, value, 7, align="r", fit=16)
            y += 3.4
    y = sheet.text(x0, y + 2, doc._digits(doc.say("till")), 7.5, fit=x1 - x0)
    parts = [f"{doc.say('receipt_number')} {doc.number}"] if doc.absent != "number" else []
    if doc.absent != "date":
        day = f"{doc.say('receipt_date')} {doc.format_date(doc.day)}".strip()
        parts.append(f"{day}  {rng.randint(7, 22):02}:{rng.randint(0, 59):02}")
    rng.shuffle(parts)
    y = sheet.lines(x0, y, parts, 8) + 2
    return sheet.text(sheet.width / 2, y, doc.say("thanks"), 8, align="c", fit=x1 - x0) + 6


def pairs(sheet: Sheet, doc: Document, rng: random.Random) -> float:
    """A slip of a taxi, car park or terminal: labels left, values right, no table."""
    x0, x1 = 4.0, sheet.width - 4
    y = sheet.text(sheet.width / 2, 6, doc.title, 9, align="c") + 1
    y = sheet.text(sheet.width / 2, y, doc.name, 12, bold=True, align="c", fit=x1 - x0)
    y = sheet.lines(sheet.width / 2, y, doc.letterhead, 8, align="c") + 3
    facts = [(doc.say("receipt_number"), doc.number)] if doc.absent != "number" else []
    if doc.absent != "date":
        facts.append((doc.say("receipt_date"), doc.format_date(doc.day)))
    facts.append((doc._digits(doc.say("till")), f"{rng.randint(7, 22):02}:{rng.randint(0, 59):02}"))
    rng.shuffle(facts)
    for name, *rest in doc.goods()[1]:
        facts.append((name if rest[0] == "1" else f"{rest[0]} {name}", rest[-1]))
    for label, value in facts:
        sheet.text(x0, y, label, 9, fit=x1 - x0 - sheet.measure(value, 9) - 3)
        y = sheet.text(x1, y, value, 9, align="r") + 0.8
    sheet.rule(x0, y, x1, 0.4)
    y += 2
    for label, value, strong in doc.sums():
        size = 10.5 if strong else 8.5
        sheet.text(
            x0, y, label, size, bold=strong, fit=x1 - x0 - sheet.measure(value, size, strong) - 3
        )
        y = sheet.text(x1, y, value, size, bold=strong, align="r") + 0.8
    y = sheet.lines(sheet.width / 2, y + 3, [doc.legal[0], doc.say("thanks")], 7.5, align="c")
    return y + 6


INVOICES = [band, sidebar, personal, parties, parties, folio, slip]
RECEIPTS = [roll, roll, pairs]
