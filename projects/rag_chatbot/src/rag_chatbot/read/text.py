"""Parse text-like files: plain text, Markdown, reStructuredText, AsciiDoc, source code.

    parse_markdown(b"# Title\\n\\nWords.\\n", Path("a.md"))  # a heading and a paragraph

The text of the document is the file itself, decoded, so a quote of it is verbatim; a parser only
finds the spans of its blocks. What a single line is, is decided in `markdown_lines.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rag_chatbot.read import markdown_lines
from rag_chatbot.read.decode import decode
from rag_chatbot.read.document import Block, Document, Kind
from rag_chatbot.read.markdown_lines import LINE_CHARS, Line, read_lines

# Given the lines and an index: the heading that begins there (None for a rule that is skipped) and
# the number of lines it takes up. None if no heading begins there.
HeadingReader = Callable[[Sequence[Line], int], tuple[Block | None, int] | None]
# Given a line: the mark that opens a code block, which the closing line repeats.
FenceReader = Callable[[str], str | None]

TITLE_CHARS = 200  # a longer line is a paragraph, even if it is underlined
TITLE_BLOCKS = 6  # a heading among the first blocks is taken for the title of the document
FRONT_MATTER_CHARS = 20_000
CODE_NAME_CHARS = 400  # of a line, where the name of a definition is looked for

_SUBTITLE_TAG = re.compile(r"</?[a-z][^<>\n]{0,80}>|\{\\[^}\n]{0,80}\}", re.IGNORECASE)
_SENTENCE_ENDS = (".", "!", "?", "…", "。", "！", "？", '"', "”")

# A line of front matter: a key, a comment, an item, a part of the value above, or nothing.
YAML_LINE = re.compile(r"[\w.-]+:(?:\s|$)|[#}\]]|\s*-\s|[ \t]|$")

SETEXT = re.compile(r" {0,3}(=+|-+)[ \t]*$")
ADOC_HEADING = re.compile(r"(={1,6})[ \t]+(\S.*)$")
ADOC_FENCE = re.compile(r"(-{4,}|\.{4,})$")
CODE_NAME = re.compile(
    r"([ \t]*)(?:(?:export|default|public|private|protected|internal|static|final|abstract|async|"
    r"pub(?:\([a-z]+\))?|unsafe|override|virtual|inline|const|sealed|open|data)[ \t]+)*"
    r"(?:def|class|func|function|fn|interface|struct|enum|impl|trait|module|namespace|type|object|"
    r"macro_rules!|sub|record)[ \t*]+(?:\([^)]{0,80}\)[ \t]*)?([A-Za-z_$][\w$.:]*)"
)


def parse_text(data: bytes, path: Path) -> Document:
    """Plain text. Underlined lines are headings, as in many READMEs."""
    text = decode(data)
    return Document(text, tuple(_blocks(read_lines(text), _plain_heading)), path.stem)


def parse_markdown(data: bytes, path: Path) -> Document:
    """Markdown. The title is that of the YAML front matter, or the first heading."""
    text = decode(data)
    body, title = _front_matter(text)
    blocks = tuple(_blocks(read_lines(text, body), _markdown_heading))
    return Document(text, blocks, title or _first_heading(text, blocks) or path.stem)


def parse_rst(data: bytes, path: Path) -> Document:
    """reStructuredText. Directives and roles stay in the text as they are."""
    text = decode(data)
    blocks = tuple(_blocks(read_lines(text), _RstHeading()))
    return Document(text, blocks, _first_heading(text, blocks) or path.stem)


def parse_asciidoc(data: bytes, path: Path) -> Document:
    """AsciiDoc: headings by `=`, listings between `----` or `....`."""
    text = decode(data)
    blocks = tuple(_blocks(read_lines(text), _asciidoc_heading, _asciidoc_fence))
    return Document(text, blocks, _first_heading(text, blocks) or path.stem)


def parse_subtitles(data: bytes, path: Path) -> Document:
    """SubRip or WebVTT: what is spoken, without numbers, time codes and tags."""
    paragraphs: list[str] = []
    complete = True
    for cue in re.split(r"\n[ \t]*\n", decode(data)):
        _, arrow, rest = cue.partition("-->")
        spoken = " ".join(_SUBTITLE_TAG.sub("", rest.partition("\n")[2]).split())
        if not arrow or not spoken:
            continue
        if complete:
            paragraphs.append(spoken)
        else:  # a sentence may go on in the next cue
            paragraphs[-1] += f" {spoken}"
        complete = spoken.endswith(_SENTENCE_ENDS)
    blocks, at = [], 0
    for paragraph in paragraphs:
        blocks.append(Block("paragraph", at, at + len(paragraph)))
        at += len(paragraph) + 2
    return Document("\n\n".join(paragraphs), tuple(blocks), path.stem)


def parse_code(data: bytes, path: Path) -> Document:
    """Source code, cut where a definition begins. Its name is a heading, indentation its level."""
    text = decode(data)
    blocks: list[Block] = []
    open_at: int | None = None
    last = 0
    blank = True
    for line in read_lines(text):
        if not line.text:
            blank = True
            continue
        name = CODE_NAME.match(line.text[:CODE_NAME_CHARS])
        # 1. Close the open block before a definition, or before flush-left code after a blank line.
        if open_at is not None and (name or (blank and not line.text[0].isspace())):
            blocks.append(Block("code", open_at, last))
            open_at = None
        # 2. The name of a definition is a heading, in front of the code that contains it.
        if name:
            level = 1 + min(5, len(name[1].expandtabs(4)) // 4)
            start = line.start + name.start(2)
            blocks.append(Block("heading", start, start + len(name[2].rstrip(":.")), level))
        # 3. Open a block, or let the open one go on.
        if open_at is None:
            open_at = line.start
        last, blank = line.end, False
    if open_at is not None:
        blocks.append(Block("code", open_at, last))
    return Document(text, tuple(blocks), path.name)


def _blocks(
    lines: Sequence[Line],
    heading: HeadingReader,
    fence: FenceReader = markdown_lines.fence_mark,
) -> Iterator[Block]:
    """Yield headings, fenced code, and what is between blank lines: paragraphs, lists, tables."""
    at = 0
    while at < len(lines):
        line = lines[at]
        if not line.text:
            at += 1
        elif mark := fence(line.text):
            stop = _after_fence(lines, at, mark)
            yield Block("code", line.start, lines[stop - 1].end)
            at = stop
        elif match := heading(lines, at):
            block, length = match
            if block:
                yield block
            at += length
        else:
            stop = at + 1
            while stop < len(lines) and not (
                not lines[stop].text or fence(lines[stop].text) or heading(lines, stop)
            ):
                stop += 1
            yield Block(_kind(lines[at:stop]), line.start, lines[stop - 1].end)
            at = stop


def _after_fence(lines: Sequence[Line], at: int, mark: str) -> int:
    """Index of the line after a code block; one that is not closed goes on to the end."""
    for stop in range(at + 1, len(lines)):
        if markdown_lines.closes_fence(lines[stop].text, mark):
            return stop + 1
    return len(lines)


def _kind(lines: Sequence[Line]) -> Kind:
    """What kind of block some lines without a blank one among them are."""
    if len(lines) > 1 and any(
        markdown_lines.is_row(line.text) or markdown_lines.is_row_rule(line.text)
        for line in lines[:2]
    ):
        return "table"
    if markdown_lines.is_item(lines[0].text):
        return "list"
    if all(line.text.startswith(("    ", "\t")) for line in lines):
        return "code"
    return "paragraph"


def _plain_heading(lines: Sequence[Line], at: int) -> tuple[Block, int] | None:
    return _underlined(lines, at, shortest=3)


def _markdown_heading(lines: Sequence[Line], at: int) -> tuple[Block, int] | None:
    line = lines[at]
    if line.end - line.start > LINE_CHARS:
        return None
    if not line.text.lstrip().startswith("#"):
        return _underlined(lines, at, shortest=2)
    if match := markdown_lines.heading(line.text):
        start, end = (line.start + offset for offset in match.span(2))
        return Block("heading", start, end, len(match[1])), 1
    return None


def _underlined(lines: Sequence[Line], at: int, shortest: int) -> tuple[Block, int] | None:
    """A heading underlined with `=` (level 1) or `-` (level 2), at least `shortest` of them."""
    line = lines[at]
    if at + 1 >= len(lines) or line.end - line.start > TITLE_CHARS:
        return None
    if at and lines[at - 1].text:
        return None  # the last line of a paragraph is not a heading
    match = SETEXT.match(lines[at + 1].text)
    if not match or len(match[1]) < shortest:
        return None
    if "|" in line.text or markdown_lines.is_item(line.text) or SETEXT.match(line.text):
        return None
    return _heading_block(line, 1 if match[1][0] == "=" else 2), 2


def _asciidoc_heading(lines: Sequence[Line], at: int) -> tuple[Block, int] | None:
    line = lines[at]
    if line.end - line.start < LINE_CHARS and (match := ADOC_HEADING.match(line.text)):
        start, end = (line.start + offset for offset in match.span(2))
        return Block("heading", start, end, len(match[1])), 1
    return None


def _asciidoc_fence(line: str) -> str | None:
    match = ADOC_FENCE.match(line)
    return match[1] if match else None


class _RstHeading:
    """Reads headings of reStructuredText, whose styles get their levels in order of appearance.

    A style is the sign of the underline, and whether there is a line above the title too.
    """

    def __init__(self) -> None:
        self.styles: list[tuple[str, bool]] = []

    def __call__(self, lines: Sequence[Line], at: int) -> tuple[Block | None, int] | None:
        line, below, second = (_text_at(lines, at + n) for n in range(3))
        sign = markdown_lines.rule_sign(line)
        if sign and below.strip() and markdown_lines.rule_sign(second) == sign:
            return _heading_block(lines[at + 1], self._level(sign, overlined=True)), 3
        if sign:
            return None if below.strip() else (None, 1)  # a line by itself separates sections
        underline = markdown_lines.rule_sign(below)
        if not underline or line[0].isspace() or line.startswith(("..", "|", "+")):
            return None
        if len(below) < min(len(line), 4):
            return None
        return _heading_block(lines[at], self._level(underline, overlined=False)), 2

    def _level(self, sign: str, *, overlined: bool) -> int:
        style = (sign, overlined)
        if style not in self.styles:
            self.styles.append(style)
        return self.styles.index(style) + 1


def _text_at(lines: Sequence[Line], at: int) -> str:
    return lines[at].text if at < len(lines) else ""


def _heading_block(line: Line, level: int) -> Block:
    """A heading that is the whole line, without its indentation."""
    indent = len(line.text) - len(line.text.lstrip())
    return Block("heading", line.start + indent, line.end, level)


def _front_matter(text: str) -> tuple[int, str]:
    """Where the text begins after a YAML front matter, and the title given there."""
    if not text.startswith("---\n"):
        return 0, ""
    end = text.find("\n---\n", 3, FRONT_MATTER_CHARS)
    if end < 0 or not all(map(YAML_LINE.match, text[4 : end + 1].splitlines())):
        return 0, ""  # a rule, with text below it
    title = re.search(r"^title:[ \t]*[\"']?(.+?)[\"']?[ \t]*$", text[4:end], re.MULTILINE)
    line_end = text.find("\n", end + 1)
    return (len(text) if line_end < 0 else line_end + 1), title[1] if title else ""


def _first_heading(text: str, blocks: Sequence[Block]) -> str:
    """The first heading, if it is near the beginning; otherwise the empty string."""
    for block in blocks[:TITLE_BLOCKS]:
        if block.kind == "heading":
            return text[block.start : block.end].strip("*_` ")
    return ""
