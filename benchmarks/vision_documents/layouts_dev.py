"""Layouts of the development split: letters, forms, statements and three kinds of receipts."""

from __future__ import annotations

import random

from content import Document
from sheet import Color, Sheet

ACCENTS: list[Color] = [(20, 60, 120), (140, 30, 40), (10, 100, 70), (25, 25, 28), (90, 60, 130)]
GREY = (110, 110, 115)


def letter(sheet: Sheet, doc: Document, rng: random.Random) -> None:
    """A business letter: name left, right or centred, address window, totals on the right."""
    left, right, accent = 22.0, sheet.width - 18, rng.choice(ACCENTS)
    # 1. Letterhead.
    x, align = rng.choice([(left, "l"), (right, "r"), (sheet.width / 2, "c")])
    y = sheet.text(
        x, 14, doc.name, rng.choice([16, 20, 24]), bold=True, align=align, color=accent, fit=120
    )
    y = sheet.text(x, y, doc.tagline, 9, align=align, color=GREY)
    if align == "c":
        y = sheet.text(x, y + 1, "  ·  ".join(doc.letterhead), 8, align="c")
        sheet.rule(left, y + 1, right)
    else:
        sheet.lines(x, y + 1, doc.letterhead, 8, align=align)
    # 2. Address window, with the sender's line above.
    if doc.name and rng.random() < 0.6:
        sheet.text(left, 48, " · ".join([doc.name, *doc.vendor[2:4]]), 7, color=GREY, fit=85)
        sheet.rule(left, 51, left + 80, 0.1)
    sheet.lines(left, 54, doc.customer, 10)
    # 3. Number and date.
    y = 54.0 if align != "r" else 60.0
    for label, value in doc.info():
        colon = ":" if doc.date_format[-1] == "}" else ""
        sheet.text(120, y, label + colon, 9, color=GREY)
        y = (
            sheet.text(
                right if align == "c" else 158, y, value, 9, align="r" if align == "c" else "l"
            )
            + 0.6
        )
    y = sheet.text(left, max(y, 84) + 6, doc.title, 16, bold=True) + 4
    # 4. Goods, sums, notes and footer.
    y = goods(sheet, doc, left, right, y, "rules") + 4
    y = sums(sheet, doc, 115, right, y) + 8
    for note in doc.notes():
        y = sheet.paragraph(left, y, note, 150) + 1
    footer(sheet, doc, left, right, rng)


def form(sheet: Sheet, doc: Document, rng: random.Random) -> None:
    """A form: title at the top, boxed cells with labels above values, a grid of goods."""
    left, right, accent = 15.0, sheet.width - 15, rng.choice(ACCENTS)
    flip = rng.random() < 0.5
    sheet.text(
        right if not flip else left,
        14,
        doc.title,
        22,
        bold=True,
        align="l" if flip else "r",
        color=accent,
    )
    x, align = (right, "r") if flip else (left, "l")
    y = sheet.text(x, 14, doc.name, 13, bold=True, align=align, fit=100)
    y = sheet.text(x, y, doc.tagline, 8, align=align, color=GREY)
    y = max(sheet.lines(x, y, doc.letterhead, 8.5, align=align), 40) + 4
    # Cells in one or two rows.
    info = doc.info()
    width = (right - left) / min(4, len(info))
    for start in range(0, len(info), 4):
        for i, (label, value) in enumerate(info[start : start + 4]):
            sheet.box(left + i * width, y, left + (i + 1) * width, y + 12, line=0.2)
            sheet.text(left + i * width + 1.5, y + 1.2, label, 7, color=GREY)
            sheet.text(left + i * width + 1.5, y + 5.4, value, 9.5, bold=True, fit=width - 3)
        y += 12
    # Two addresses side by side.
    y += 6
    for x, key in ((left, "bill_to"), (112, "ship_to")):
        sheet.text(x, y, doc.say(key), 8, bold=True, color=accent)
        end = sheet.lines(x, y + 5, doc.customer, 9.5)
    y = goods(sheet, doc, left, right, end + 6, "grid") + 5
    y = sums(sheet, doc, 120, right, y, boxed=True)
    sheet.lines(left, y - 12, doc.notes(), 8)
    footer(sheet, doc, left, right, rng)


def statement(sheet: Sheet, doc: Document, rng: random.Random) -> None:
    """A bill: the vendor at the left, everything about it in plain lines, no rulings."""
    left, right = 25.0, sheet.width - 25
    accent = rng.choice(ACCENTS)
    sheet.box(left, 15, left + 12, 27, fill=accent)
    y = sheet.text(left + 16, 16, doc.name, 15, bold=True, fit=110)
    sheet.text(left + 16, y, doc.tagline, 8.5)
    sheet.lines(right, 34, doc.letterhead, 8.5, align="r")
    sheet.text(left, 34, doc.say("bill_to"), 8.5, bold=True)
    y = sheet.lines(left, 39, doc.customer, 9.5) + 8
    y = sheet.text(left, y, doc.title, 14, bold=True) + 2
    for label, value in doc.info():
        y = sheet.text(left, y, f"{label}: {value}", 9.5) + 0.5
    sheet.rule(left, y + 3, right, 0.6)
    y = goods(sheet, doc, left, right, y + 7, "plain")
    sheet.rule(110, y + 2, right, 0.3)
    y = sums(sheet, doc, 110, right, y + 4) + 6
    for note in doc.notes():
        y = sheet.paragraph(left, y, note, 140, 8.5) + 1
    footer(sheet, doc, left, right, rng)


def goods(sheet: Sheet, doc: Document, x0: float, x1: float, y: float, style: str) -> float:
    """The items: description left, numbers right-aligned."""
    headings, rows = doc.goods()
    edges = [x1 - 62, x1 - 32, x1 - 1.5][-len(headings) + 1 :]
    top = y
    for n, row in enumerate([headings, *rows]):
        if n == 0 and style == "grid":
            sheet.box(x0, y, x1, y + 6.5, fill=(225, 228, 232))
        sheet.text(x0 + 1.5, y + 1.2, row[0], 9, bold=n == 0, fit=edges[0] - x0 - 18)
        for edge, value in zip(edges, row[1:], strict=True):
            sheet.text(edge, y + 1.2, value, 9, bold=n == 0, align="r", fit=28)
        y += 6.5
        if style == "grid" or (style == "rules" and n in (0, len(rows))):
            sheet.rule(x0, y, x1)
    if style == "grid":
        for edge in [x0, *[edge + 1.5 for edge in edges], edges[0] - 14]:
            sheet.box(edge, top, edge, y, line=0.2)
        sheet.rule(x0, top, x1)
    return y


def sums(sheet: Sheet, doc: Document, x0: float, x1: float, y: float, boxed: bool = False) -> float:
    """Subtotal to amount due, labels left and amounts right."""
    for label, value, strong in doc.sums():
        if boxed and strong:
            sheet.box(x0 - 2, y - 0.8, x1, y + 5.4, fill=(225, 228, 232))
        size = 11 if strong else 9
        sheet.text(x0, y, label, size, bold=strong, fit=x1 - x0 - 34)
        y = sheet.text(x1 - 1.5, y, value, size, bold=strong, align="r") + 1.6
    return y


def footer(sheet: Sheet, doc: Document, x0: float, x1: float, rng: random.Random) -> None:
    """Small print in two columns, and the page number."""
    y = sheet.height - 24
    sheet.rule(x0, y - 2, x1, 0.1)
    half = (len(doc.footer) + 1) // 2
    sheet.lines(x0, y, doc.footer[:half], 7, color=GREY)
    sheet.lines((x0 + x1) / 2, y, doc.footer[half:], 7, color=GREY)
    if rng.random() < 0.5:
        sheet.text(x1, sheet.height - 10, doc.say("page"), 7, align="r", color=GREY)


def thermal(sheet: Sheet, doc: Document, rng: random.Random) -> float:
    """A till roll: centred head, goods with amounts at the right edge, a large total."""
    left, right, middle = 5.0, sheet.width - 5, sheet.width / 2
    y = sheet.text(middle, 6, doc.name, 13, bold=True, align="c", fit=right - left)
    y = sheet.lines(middle, y, [doc.tagline, *doc.letterhead], 8, align="c")
    y = sheet.text(middle, y + 1.5, doc.title, 9, bold=True, align="c") + 1
    y = receipt_info(sheet, doc, left, right, y, rng)
    sheet.rule(left, y, right, 0.25, dash=1)
    y += 1.5
    _, rows = doc.goods()
    for name, *rest in rows:
        if rest[0] != "1" and len(rest) == 3 and rng.random() < 0.5:
            sheet.text(left, y, name, 8.5)
            y = sheet.text(left + 4, y + 3.9, f"{rest[0]} x {rest[1]}", 8.5) - 3.9
            y += 0.1
        else:
            sheet.text(left, y, name if rest[0] == "1" else f"{rest[0]} {name}", 8.5, fit=44)
        y = (
            sheet.text(right, y, rest[-1] if len(rest) == 3 else f"x{rest[0]}", 8.5, align="r")
            + 0.4
        )
    sheet.rule(left, y, right, 0.25, dash=1)
    return receipt_end(sheet, doc, left, right, y + 1.5)


def note(sheet: Sheet, doc: Document, rng: random.Random) -> float:
    """A bill of a small house: head on the left, rules, quantity in front."""
    left, right = 6.0, sheet.width - 6
    y = sheet.text(left, 6, doc.name, 14, bold=True, fit=right - left)
    y = sheet.lines(left, y, [doc.tagline, *doc.letterhead], 8)
    sheet.rule(left, y + 1, right, 0.5)
    y = sheet.text(left, y + 3, doc.title, 11, bold=True) + 1
    y = receipt_info(sheet, doc, left, right, y, rng) + 1
    for name, *rest in doc.goods()[1]:
        sheet.text(left, y, f"{rest[0]}x", 9)
        sheet.text(left + 8, y, name, 9, fit=40)
        y = sheet.text(right, y, rest[-1] if len(rest) == 3 else "", 9, align="r") or y
        y += 0.5 if len(rest) == 3 else 4.5
    sheet.rule(left, y, right, 0.5)
    return receipt_end(sheet, doc, left, right, y + 2)


def receipt_info(
    sheet: Sheet, doc: Document, x0: float, x1: float, y: float, rng: random.Random
) -> float:
    """Number, date and time, till; in one line or below each other."""
    label = doc.say("receipt_date")
    day = f"{label} {doc.format_date(doc.day)}".strip() if doc.absent != "date" else ""
    time = f"{rng.randint(8, 21)}:{rng.randint(10, 59)}"
    number = f"{doc.say('receipt_number')} {doc.number}" if doc.absent != "number" else ""
    room = x1 - x0 - sheet.measure(f"{number}  {day} {time}", 8.5)
    if rng.random() < 0.7 and day and room > 0:
        sheet.text(x0, y, number, 8.5)
        y = sheet.text(x1, y, f"{day} {time}", 8.5, align="r")
    else:
        y = sheet.text(x0, y, number, 8.5)
        y = sheet.text(x0, y, f"{day}  {time}" if day else "", 8.5)
    return sheet.text(x0, y, doc._digits(doc.say("till")), 8.5) + 1


def receipt_end(sheet: Sheet, doc: Document, x0: float, x1: float, y: float) -> float:
    """Sums, tax and thanks; returns the end of the roll."""
    for label, value, strong in doc.sums():
        size = 12 if strong else 8.5
        room = x1 - x0 - sheet.measure(value, size, strong) - 2
        sheet.text(x0, y, label, size, bold=strong, fit=room)
        y = sheet.text(x1, y, value, size, bold=strong, align="r") + 0.6
    y = sheet.text((x0 + x1) / 2, y + 3, doc.say("thanks"), 8.5, align="c")
    if doc.name and doc.vendor[5]:
        y = sheet.text((x0 + x1) / 2, y, doc.vendor[5], 7, align="c")
    return sheet.text((x0 + x1) / 2, y, doc.legal[0], 7, align="c") + 6


INVOICES = [letter, letter, form, statement]
RECEIPTS = [thermal, thermal, note]
