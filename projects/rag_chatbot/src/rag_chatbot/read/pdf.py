"""Parse PDF: text by page, paragraphs rejoined from their lines, headings by size of type.

    parse_pdf(Path("manual.pdf").read_bytes(), Path("manual.pdf"))

A hostile file can take PDFium minutes or gigabytes, and nothing interrupts it. So files are parsed
in a process of its own with limits of time and memory, one at a time, which `LimitedProcess` starts
when needed. Scanned pages have no text; OCR is left to other tools.
"""

from __future__ import annotations

import ctypes
import re
from collections import Counter
from dataclasses import astuple, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from rag_chatbot.read.decode import clean
from rag_chatbot.read.document import Block, Document, DocumentBuilder, markdown_table
from seedbed.errors import BadInput, TooLarge
from seedbed.safety.limited_process import LimitedProcess

MAX_PAGES = 5000
CELL_GAP = 1.2  # times the size of the type, from which on a gap separates the cells of a table
ALIGNED = 3.0  # points by which lines of one column may differ
EDGE_LINES = 2  # at the top and at the bottom of a page, where running heads are looked for
HEADING_CHARS = 100
LARGER = 1.12  # times the size of the body text, from which on a line may be a heading
BULLET = re.compile(r"[•‣◦▪●○·*–-]\s|\(?\d{1,2}[.)]\s|\(?[a-z][.)]\s")
# Signs that PDFium puts where a word continues on the next line.
HYPHEN = re.compile(r"[\x02\ufffe\xad]\s*")
BOLD = re.compile(r"(.*(bold|black|heavy).*\n){2}")
MONO = re.compile(r"(.*(mono|courier|consol|typewriter|cmtt).*\n){2}")
# A name in code, which is a heading where it is a line by itself: "upstream_version".
_NAME = re.compile(r"[\w.<>\[\]-]{2,40}$")
_CONTENTS = re.compile(r"(?:\.[ \t]?){5,}[ \t]*[\divxlc]+$")  # of a table of contents
# Titles that programs write into the metadata and people never read.
POOR_TITLE = re.compile(r"\.(docx?|indd|tex|dvi|pdf|qxd)\b|^untitled|anonymous", re.IGNORECASE)
SECONDS, SECONDS_PER_MB = 60.0, 10.0  # of a file; 1,000 pages are 2 MB or more, and take 10 s
_process = LimitedProcess(f"{__name__}:parse_in_child", hint="Save it as text or HTML.")


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    size: float  # of its first letter, in points
    style: str  # "bold", "mono" or ""
    base: float  # of the baseline, in points from the bottom of the page
    right: float  # end of its last letter, in points from the left
    cells: tuple[tuple[float, str], ...]  # what wide gaps separate: where each begins, and its text


def parse_pdf(data: bytes, _: Path) -> Document:
    """Raises BadInput if it is encrypted, damaged, without text, or takes too much time or memory,
    and TooLarge over MAX_PAGES."""
    seconds = SECONDS + SECONDS_PER_MB * len(data) / 1e6
    (title, blocks), text = _process.call(data, name="The file", max_seconds=seconds)
    return Document(text.decode(), tuple(Block(*block) for block in blocks), title)


def parse_in_child(data: bytes) -> tuple[tuple[str, list[Any]], bytes]:
    """The parts of the document: title and blocks, and its text in UTF-8."""
    document = parse_bytes(data)
    return (document.title, [astuple(block) for block in document.blocks]), document.text.encode()


def parse_bytes(data: bytes) -> Document:
    """`parse_pdf` without limits, for one thread."""
    import pypdfium2 as pdfium

    try:
        pdf = pdfium.PdfDocument(data)
    except pdfium.PdfiumError as error:
        if "password" in str(error).lower():
            raise BadInput("The file is encrypted. Save it without a password.") from None
        raise BadInput("Not a PDF file, or a damaged or truncated one.") from None
    try:
        count = len(pdf)
        if count > MAX_PAGES:
            raise TooLarge(f"The file has {count} pages; the maximum is {MAX_PAGES}.")
        pages = [_page_lines(pdf, number) for number in range(count)]
        title = clean(pdf.get_metadata_value("Title") or "").strip()
    finally:
        pdf.close()
    if not any(pages):
        pages_text = "1 page" if count == 1 else f"{count} pages"
        raise BadInput(
            f"The {pages_text} contain no text, perhaps only scanned images.",
            hint="Run OCR on the file first, e.g. with ocrmypdf.",
        )
    return _document(pages, "" if _poor_title(title) else title)


def _poor_title(title: str) -> bool:
    return len(title) < 4 or bool(POOR_TITLE.search(title))


def _page_lines(pdf: Any, number: int) -> list[_Line]:
    """Lines of a page in reading order. A page that cannot be read is empty; the others count."""
    import pypdfium2 as pdfium
    import pypdfium2.raw as raw

    try:
        page = pdf[number]
        text_page = page.get_textpage()
        text = text_page.get_text_range()
    except pdfium.PdfiumError:
        return []
    lines: list[_Line] = []
    x, y = ctypes.c_double(), ctypes.c_double()
    name, flags = ctypes.create_string_buffer(128), ctypes.c_int()
    at = 0
    for part in text.split("\r\n"):
        words = part.strip()
        if words:
            lead = at + len(part) - len(part.lstrip())
            index = raw.FPDFText_GetCharIndexFromTextIndex(text_page, lead)
            raw.FPDFText_GetCharOrigin(text_page, index, ctypes.byref(x), ctypes.byref(y))
            size = abs(raw.FPDFText_GetFontSize(text_page, index))
            fonts = ""
            for letter in (
                lead,
                lead + len(words) - 1,
            ):  # its first word may be bold by itself
                place = raw.FPDFText_GetCharIndexFromTextIndex(text_page, letter)
                raw.FPDFText_GetFontInfo(text_page, place, name, len(name), flags)
                fonts += name.value.decode("latin-1").lower() + "\n"
            style = "mono" if MONO.match(fonts) else "bold" if BOLD.match(fonts) else ""
            cells, right = _cells(text_page, lead, words, size)
            lines.append(_Line(words, round(size, 1), style, y.value, right, cells))
        at += len(part) + 2
    text_page.close()
    page.close()
    return lines


def _cells(
    text_page: Any, at: int, words: str, size: float
) -> tuple[tuple[tuple[float, str], ...], float]:
    """The cells of the line `words`, whose text begins at `at` in the page; and its right end."""
    import pypdfium2.raw as raw

    box = [ctypes.c_double() for _ in range(4)]  # left, right, bottom, top
    box_of = [ctypes.byref(side) for side in box]

    def sides(place: int) -> tuple[float, float]:
        index = raw.FPDFText_GetCharIndexFromTextIndex(text_page, at + place)
        raw.FPDFText_GetCharBox(text_page, index, *box_of)
        return box[0].value, box[1].value

    cells, begin = [], 0
    left = sides(0)[0]
    for match in re.finditer(r" +", words):
        right, next_left = sides(match.start() - 1)[1], sides(match.end())[0]
        if next_left - right > size * CELL_GAP:
            cells.append((left, words[begin : match.start()]))
            begin, left = match.end(), next_left
    cells.append((left, words[begin:]))
    return tuple(cells), sides(len(words) - 1)[1]


def _document(pages: list[list[_Line]], title: str) -> Document:
    """Paragraphs, headings and code of the lines of all pages."""
    # 1. Find running heads, the size of the body text, and up to five larger sizes.
    pages = _without_furniture(pages)
    weight: Counter[tuple[float, str]] = Counter()
    for page in pages:
        for line in page:
            weight[line.size, line.style] += len(line.text)
    (body, body_style), _ = weight.most_common(1)[0]
    large = sorted({s for s, _ in weight if s > body * LARGER}, reverse=True)[:5]
    # 2. Join the lines of each page to paragraphs, and tell headings and code by their type.
    builder = DocumentBuilder()
    for number, page in enumerate(pages, 1):
        for group in _groups(page):
            first = group[0]
            if len(group) > 1 and len(first.cells) > 1:
                builder.add("table", _table(group), 0, number)
                continue
            text = _join(group)
            bold = first.style == "bold" != body_style and len(group) == 1
            term = len(group) == 1 and first.style not in ("", body_style)
            if term and (text.endswith(":") or (first.style == "mono" and _NAME.match(text))):
                builder.add("heading", text.rstrip(":") + ":", 2 + len(large), number)
            elif first.style == "mono" != body_style:
                builder.add("code", text, 0, number)
            elif (first.size in large or bold) and _like_heading(text):
                level = 1 + (large.index(first.size) if first.size in large else len(large))
                builder.add("heading", " ".join(text.split()), level, number)
            else:
                builder.add("paragraph", text, 0, number)
    return builder.document(title or _first_large(pages, large))


def _first_large(pages: list[list[_Line]], large: list[float]) -> str:
    """The text in the largest type near the top of the first page, or an empty string."""
    top = [line for line in pages[0][:8] if line.size == large[0]] if large else []
    text = " ".join(line.text for line in top)
    return clean(text) if _like_heading(text or ".") else ""


def _like_heading(text: str) -> bool:
    return (
        len(text) <= HEADING_CHARS
        and bool(re.search(r"[^\W\d_]{2}", text))
        and text[-1] not in ".,;:!"
    )


def _groups(lines: list[_Line]) -> list[list[_Line]]:
    """Groups of lines that form a paragraph: same size and style, no gap, no new bullet."""
    steps = [a.base - b.base for a, b in pairwise(lines) if a.base > b.base + 1]
    step = sorted(steps)[len(steps) // 2] if steps else 0.0
    groups: list[list[_Line]] = []
    table = 0  # lines of a table that are left
    for at, line in enumerate(lines):
        table = table - 1 if table > 1 else 0
        if table:
            groups[-1].append(line)
            continue
        if table := _table_length(lines, at):
            groups.append([line])
            continue
        last = groups[-1][-1] if groups and len(groups[-1][0].cells) == 1 else None
        gap = last.base - line.base if last else 0.0
        if (
            last is None
            or abs(last.size - line.size) > 0.6
            or last.style != line.style
            or gap > step * 1.3
            or gap < -step * 2  # up again: the next column
            or BULLET.match(line.text)
        ):
            groups.append([line])
        else:
            groups[-1].append(line)
    return groups


def _join(group: list[_Line]) -> str:
    """Join lines to a paragraph. A break after a short line is kept; divided words are rejoined."""
    if group[0].style == "mono":
        return clean("\n".join(line.text for line in group))
    edge = max(line.right for line in group)
    text = group[0].text
    for previous, line in pairwise(group):
        # Where the next word would have fitted into the line, the break was made on purpose.
        word = line.text.split(" ", 1)[0]
        width = (line.right - line.cells[0][0]) * (len(word) + 1) / max(1, len(line.text))
        text += ("\n" if previous.right + width < edge * 0.97 else " ") + line.text
    return clean(HYPHEN.sub("", text))


def _table_length(lines: list[_Line], at: int) -> int:
    """The number of lines of the table that begins at line `at`; 0 if none does."""
    first = lines[at]
    columns = [x for x, _ in first.cells]
    if len(columns) < 2:
        return 0
    rows, stop = 1, at + 1
    for line in lines[at + 1 :]:
        begins = abs(line.cells[0][0] - columns[0]) < ALIGNED
        if abs(line.size - first.size) > 0.6 or line.base > lines[stop - 1].base:
            break
        if begins and len(line.cells) > 1:
            rows += 1
        elif begins or min(abs(line.cells[0][0] - x) for x in columns) > ALIGNED:
            break  # neither a row nor the rest of a cell
        stop += 1
    return stop - at if rows > 1 else 0


def _table(lines: list[_Line]) -> str:
    """A table of Markdown. Its first row is the header if only that is bold."""
    columns = [x for x, _ in lines[0].cells]
    rows: list[list[str]] = []
    for line in lines:
        if not rows or (abs(line.cells[0][0] - columns[0]) < ALIGNED and len(line.cells) > 1):
            rows.append([""] * len(columns))
        for x, text in line.cells:
            column = min(range(len(columns)), key=lambda n: abs(columns[n] - x))
            rows[-1][column] = f"{rows[-1][column]} {text}".strip()
    header = lines[0].style == "bold" != lines[-1].style
    return clean(HYPHEN.sub("", markdown_table(rows, header=header)))


def _without_furniture(pages: list[list[_Line]]) -> list[list[_Line]]:
    """The pages without running heads, page numbers and lines of a table of contents."""
    edges = [{*page[:EDGE_LINES], *page[-EDGE_LINES:]} for page in pages]

    # 1. Texts that many pages begin or end with, apart from the numbers in them. Left and right
    #    pages often differ.
    counts = Counter(text for edge in edges for text in {_mask(line.text) for line in edge})
    repeated = {text for text, n in counts.items() if n >= 3 and n > len(pages) * 0.25}

    # 2. Page numbers: on most pages they are equally far from the place of the page in the file.
    shifts = Counter(
        shift
        for place, edge in enumerate(edges)
        for shift in {number - place for line in edge for number in _edge_numbers(line.text)}
    )
    shift, n = max(shifts.items(), key=lambda item: item[1], default=(0, 0))
    numbered = n >= 3 and n > len(pages) * 0.5

    return [
        [
            line
            for line in page
            if not _CONTENTS.search(line.text)
            and not (line in edges[place] and _mask(line.text) in repeated)
            and not (
                numbered and line in edges[place] and place + shift in _edge_numbers(line.text)
            )
        ]
        for place, page in enumerate(pages)
    ]


def _mask(text: str) -> str:
    """The text with `#` for numbers, so that page numbers are equal on every page."""
    return re.sub(r"\d+", "#", text)


def _edge_numbers(text: str) -> list[int]:
    """The numbers that a short line begins and ends with, as a line with a page number does."""
    match = re.fullmatch(r"(?:(\d{1,4})\b)?.{0,100}?(?:\b(\d{1,4}))?", text)
    return [int(number) for number in match.groups() if number] if match else []
