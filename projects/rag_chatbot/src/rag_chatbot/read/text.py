"""Text-like files: plain text, Markdown, reStructuredText, AsciiDoc, source code.

The document's text is the file itself, decoded, so that a quote stands in it word for word; the
parsers only find spans. They go line by line, without backtracking, whatever is thrown at them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rag_chatbot.read.document import Block, Document, Kind
from seedbed.errors import BadInput

CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f]")
NEWLINES = re.compile(r"\r\n?|[\x0c\u2028\u2029]")
BOMS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)

LATIN = ("cp125", "iso8859", "latin", "mac_")

HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(.*?)[ \t]*#*[ \t]*$")
SETEXT = re.compile(r" {0,3}(=+|-+)[ \t]*$")
FENCE = re.compile(r"[ \t]*(?:>[ \t]*)*(`{3,}|~{3,})")
LIST = re.compile(r"[ \t]*(?:[-*+•]|\d{1,3}[.)]|#\.)[ \t]+\S")
TABLE = re.compile(r"[ \t]*\|.*\||[ \t]*[+|][-=+| :]{3,}$|[^|]+\|[ \t]*[-:]{2,}")
RST_LINE = re.compile(r"([=\-`:'\"~^_*+#<>.])\1{2,}[ \t]*$")
ADOC = re.compile(r"(={1,6})[ \t]+(\S.*)$")
CODE_NAME = re.compile(
    r"([ \t]*)(?:(?:export|default|public|private|protected|internal|static|final|abstract|async|"
    r"pub(?:\([a-z]+\))?|unsafe|override|virtual|inline|const|sealed|open|data)[ \t]+)*"
    r"(?:def|class|func|function|fn|interface|struct|enum|impl|trait|module|namespace|type|object|"
    r"macro_rules!|sub|record)[ \t*]+(?:\([^)]{0,80}\)[ \t]*)?([A-Za-z_$][\w$.:]*)"
)

Spans = Sequence[tuple[int, int]]  # of the lines in a text
Heading = tuple[Block | None, int]  # the heading (None: a rule to skip) and its number of lines
FindHeading = Callable[[str, Spans, int], Heading | None]  # at line number so-and-so of the spans


def decode(data: bytes) -> str:
    """Bytes to text: byte-order mark, then UTF-8, then a guess. Newlines become `\\n`, control
    characters go. Raises BadInput where it is not text at all."""
    text = None
    for bom, encoding in BOMS:
        if data.startswith(bom):
            text = data.decode(encoding, errors="replace")
            break
    else:
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            text = _guess(data)
        if text.count("\0") > len(text) // 100:
            raise BadInput("It is a binary file, not text.")
    return clean(text)


def clean(text: str) -> str:
    """Newlines as `\\n`; no NUL or other control characters; no lone surrogates."""
    text = CONTROL.sub(" ", NEWLINES.sub("\n", text)).replace("\ufeff", "")
    return text.encode("utf-8", "replace").decode("utf-8")


def _guess(data: bytes) -> str:
    from charset_normalizer import from_bytes

    zeros = data[:4096].count(0)
    if zeros > len(data[:4096]) // 5:  # UTF-16 without its mark has a zero in every other byte
        odd = data[1:4096:2].count(0)
        return data.decode("utf-16-le" if odd * 2 > zeros else "utf-16-be", errors="replace")
    if zeros:
        raise BadInput("It is a binary file, not text.")
    # A sample, cut between lines, is enough to tell the encoding of a large file.
    sample = data[:65536]
    matches = from_bytes(sample)
    best = matches.best()
    if best is None:
        raise BadInput("It is neither UTF-8 nor any other encoding that could be recognised.")
    western = [m for m in matches if m.encoding in ("cp1252", "latin_1") and m.chaos <= best.chaos]
    encoding = "cp1252" if western and best.encoding.startswith(LATIN) else best.encoding
    return data.decode(encoding, errors="replace")


def lines(text: str) -> Iterator[tuple[int, int]]:
    """Spans of the lines, without their newline."""
    start = 0
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        yield start, end
        start = end + 1


def parse_text(data: bytes, path: Path) -> Document:
    text = decode(data)
    blocks = tuple(_blocks(text, heading=_no_heading))
    return Document(text, blocks, path.stem)


def parse_markdown(data: bytes, path: Path) -> Document:
    text = decode(data)
    skip, title = _front_matter(text)
    blocks = tuple(_blocks(text, heading=_markdown_heading, start_at=skip))
    return Document(text, blocks, title or _first_heading(text, blocks) or path.stem)


def parse_rst(data: bytes, path: Path) -> Document:
    text = decode(data)
    blocks = tuple(_blocks(text, heading=_RstHeading()))
    return Document(text, blocks, _first_heading(text, blocks) or path.stem)


def parse_asciidoc(data: bytes, path: Path) -> Document:
    text = decode(data)
    blocks = tuple(_blocks(text, heading=_asciidoc_heading, fence=re.compile(r"(-{4,}|\.{4,})$")))
    return Document(text, blocks, _first_heading(text, blocks) or path.stem)


def parse_code(data: bytes, path: Path) -> Document:
    """Cut where a definition starts; its name is the heading, by indentation."""
    text = decode(data)
    blocks: list[Block] = []
    open_at: int | None = None
    last = 0
    blank = True
    for start, end in lines(text):
        line = text[start : min(end, start + 400)]
        name = CODE_NAME.match(line) if line.strip() else None
        if not line.strip():
            blank = True
            continue
        if open_at is not None and (name or (blank and not line[0].isspace())):
            blocks.append(Block("code", open_at, last))
            open_at = None
        if name:
            level = 1 + min(5, len(name[1].expandtabs(4)) // 4)
            end_of_name = start + name.start(2) + len(name[2].rstrip(":."))
            blocks.append(Block("heading", start + name.start(2), end_of_name, level))
        if open_at is None:
            open_at = start
        last, blank = end, False
    if open_at is not None:
        blocks.append(Block("code", open_at, last))
    return Document(text, tuple(blocks), path.name)


def _blocks(
    text: str, *, heading: FindHeading, start_at: int = 0, fence: re.Pattern[str] = FENCE
) -> Iterator[Block]:
    """Paragraphs, lists, tables and fenced code between blank lines; headings by `heading`."""
    spans = [span for span in lines(text) if span[0] >= start_at]
    at = 0
    while at < len(spans):
        start, end = spans[at]
        line = text[start : min(end, start + 1000)]
        if not line.strip():
            at += 1
            continue
        if mark := fence.match(line):
            stop = _fence_end(text, spans, at, mark[1])
            yield Block("code", start, spans[stop - 1][1])
            at = stop
            continue
        if found := heading(text, spans, at):
            block, used = found
            if block:
                yield block
            at += used
            continue
        stop = at + 1
        while stop < len(spans) and not _ends(text, spans, stop, heading, fence):
            stop += 1
        kind = _kind(text[start : spans[stop - 1][1]][:2000])
        yield Block(kind, start, spans[stop - 1][1])
        at = stop


def _ends(text: str, spans: Spans, at: int, heading: FindHeading, fence: re.Pattern[str]) -> bool:
    start, end = spans[at]
    line = text[start : min(end, start + 1000)]
    return not line.strip() or bool(fence.match(line)) or bool(heading(text, spans, at))


def _fence_end(text: str, spans: Spans, at: int, mark: str) -> int:
    for stop in range(at + 1, len(spans)):
        line = text[spans[stop][0] : spans[stop][1]].strip().lstrip("> ")
        if line.startswith(mark) and not line.strip(mark[0]):
            return stop + 1
    return len(spans)


def _kind(text: str) -> Kind:
    rows = text.split("\n")
    if len(rows) > 1 and (TABLE.match(rows[0]) or TABLE.match(rows[1])):
        return "table"
    if LIST.match(rows[0]):
        return "list"
    if all(row.startswith(("    ", "\t")) for row in rows):
        return "code"
    return "paragraph"


def _no_heading(text: str, spans: Spans, at: int) -> Heading | None:
    """Plain text: a line underlined with === or ---, as many READMEs have."""
    return _setext(text, spans, at, minimum=3)


def _markdown_heading(text: str, spans: Spans, at: int) -> Heading | None:
    start, end = spans[at]
    if end - start > 1000:
        return None
    line = text[start:end]
    if line.lstrip().startswith("#"):
        if (match := HEADING.match(line)) and match[2]:
            return Block("heading", start + match.start(2), start + match.end(2), len(match[1])), 1
        return None
    return _setext(text, spans, at, minimum=2)


def _setext(text: str, spans: Spans, at: int, minimum: int) -> Heading | None:
    start, end = spans[at]
    if at + 1 >= len(spans) or end - start > 200:
        return None
    if at and text[spans[at - 1][0] : spans[at - 1][1]].strip():
        return None  # only a line that stands alone: the last line of a paragraph is no heading
    below = text[spans[at + 1][0] : min(spans[at + 1][1], spans[at + 1][0] + 300)]
    line = text[start:end]
    if not (match := SETEXT.match(below)) or len(match[1]) < minimum:
        return None
    if "|" in line or LIST.match(line) or SETEXT.match(line):
        return None
    left = start + len(line) - len(line.lstrip())
    level = 1 if match[1][0] == "=" else 2
    return Block("heading", left, start + len(line.rstrip()), level), 2


def _asciidoc_heading(text: str, spans: Spans, at: int) -> Heading | None:
    start, end = spans[at]
    if end - start < 1000 and (match := ADOC.match(text[start:end])):
        return Block("heading", start + match.start(2), start + match.end(2), len(match[1])), 1
    return None


class _RstHeading:
    """Levels are by the order in which the styles of underline (and overline) first appear."""

    def __init__(self) -> None:
        self.styles: list[tuple[str, bool]] = []

    def __call__(self, text: str, spans: Spans, at: int) -> Heading | None:
        def line(n: int) -> str:
            if n >= len(spans) or n < 0:
                return ""
            return text[spans[n][0] : min(spans[n][1], spans[n][0] + 500)]

        first, over = line(at), bool(RST_LINE.match(line(at)))
        if (
            over
            and RST_LINE.match(line(at + 2))
            and line(at + 1).strip()
            and first[0] == line(at + 2)[0]
        ):
            return self._block(text, spans[at + 1], first[0], True), 3
        if over and not line(at + 1).strip():
            return None, 1  # a transition
        under = line(at + 1)
        if over or not first.strip() or first[0].isspace() or not RST_LINE.match(under):
            return None
        if len(under.rstrip()) < min(len(first.rstrip()), 4) or first.startswith(("..", "|", "+")):
            return None
        return self._block(text, spans[at], under[0], False), 2

    def _block(self, text: str, span: tuple[int, int], character: str, over: bool) -> Block:
        style = (character, over)
        if style not in self.styles:
            self.styles.append(style)
        raw = text[span[0] : span[1]]
        left = span[0] + len(raw) - len(raw.lstrip())
        return Block("heading", left, span[0] + len(raw.rstrip()), self.styles.index(style) + 1)


def _front_matter(text: str) -> tuple[int, str]:
    """Length of a YAML front matter, and the title in it."""
    if not text.startswith("---\n"):
        return 0, ""
    end = text.find("\n---", 4, 20000)
    if end < 0:
        return 0, ""
    title = re.search(r"^title:[ \t]*[\"']?(.+?)[\"']?[ \t]*$", text[4:end], re.MULTILINE)
    line_end = text.find("\n", end + 1)
    return (len(text) if line_end < 0 else line_end + 1), title[1] if title else ""


def _first_heading(text: str, blocks: tuple[Block, ...]) -> str:
    """The first heading, if it is among the first things of the document."""
    for block in blocks[:6]:
        if block.kind == "heading":
            return text[block.start : block.end].strip("*_` ")
    return ""
