"""Parse text-like files: Markdown, plain text with headings of any kind, source code, data.

    parse_markdown(b"# Title\\n\\nWords.\\n", Path("a.md"))  # a heading and a paragraph

The text of the document is the file itself, decoded, so a quote of it is verbatim; a parser only
finds the spans of its blocks, see `blocks.py`. Notebooks become Markdown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from rag_chatbot.read.blocks import read_markdown, read_plain
from rag_chatbot.read.decode import decode
from rag_chatbot.read.document import Block, Document, Kind
from seedbed.errors import BadInput

TITLE_BLOCKS = 6  # a heading among the first blocks is taken for the title of the document
FRONT_MATTER_CHARS = 20_000

# A line of front matter: a key, a comment, an item, a part of the value above, or nothing.
YAML_LINE = re.compile(r"[\w.-]+:(?:\s|$)|[#}\]]|\s*-\s|[ \t]|$")

CODE_NAME = re.compile(
    r"^([ \t]*)(?:(?:export|default|public|private|protected|internal|static|final|abstract|async|"
    r"pub(?:\([a-z]+\))?|unsafe|override|virtual|inline|const|sealed|open|data)[ \t]+)*"
    r"(?:def|class|func|function|fn|interface|struct|enum|impl|trait|module|namespace|type|object|"
    r"macro_rules!|sub|record)[ \t*]+(?:\([^)\n]{0,80}\)[ \t]*)?([A-Za-z_$](?:[\w$.:]*[\w$])?)",
    re.MULTILINE,
)
CODE_GAP = re.compile(r"\n(?:[ \t]*\n)+(?=\S)")


def parse_text(data: bytes, path: Path) -> Document:
    """Plain text, also with markup. Headings are underlined, or begin with `=` as in AsciiDoc."""
    text = decode(data)
    blocks = tuple(read_plain(text))
    return Document(text, blocks, _first_heading(text, blocks) or path.stem)


def parse_markdown(data: bytes, path: Path) -> Document:
    """Markdown. The title is that of the YAML front matter, or the first heading."""
    text = decode(data)
    body, title = _front_matter(text)
    blocks = tuple(read_markdown(text, body))
    return Document(text, blocks, title or _first_heading(text, blocks) or path.stem)


def parse_code(data: bytes, path: Path) -> Document:
    """Source code, cut where a definition begins. Its name is a heading, indentation its level."""
    text = decode(data)
    names = {match.start(): match for match in CODE_NAME.finditer(text)}
    # A block begins at a definition, and flush left after a blank line.
    starts = sorted({0, *names, *(gap.end() for gap in CODE_GAP.finditer(text)), len(text)})
    blocks: list[Block] = []
    for start, end in pairwise(starts):
        if name := names.get(start):
            level = 1 + min(5, len(name[1].expandtabs(4)) // 4)
            blocks.append(Block("heading", *name.span(2), level))
        body = text[start:end].rstrip()
        if body:
            blocks.append(Block("code", start, start + len(body)))
    return Document(text, tuple(blocks), path.name)


def parse_csv(data: bytes, path: Path) -> Document:
    """One table. Its first row is the header, which later chunks of it get as their heading."""
    return _one_block(data, path, "table")


def parse_json(data: bytes, path: Path) -> Document:
    """JSON and JSON Lines: code, which is cut between lines where it is too long for a chunk."""
    return _one_block(data, path, "code")


def _one_block(data: bytes, path: Path, kind: Kind) -> Document:
    text = decode(data)
    start, end = len(text) - len(text.lstrip()), len(text.rstrip())
    return Document(text, (Block(kind, start, end),), path.stem)


def parse_notebook(data: bytes, path: Path) -> Document:
    """A Jupyter notebook as Markdown: text cells, and code cells between fences. No outputs."""
    try:
        cells = json.loads(decode(data)).get("cells", [])
        parts = [(cell.get("cell_type"), "".join(cell.get("source", ""))) for cell in cells]
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise BadInput(f"Not a Jupyter notebook: {error}.") from None
    text = "\n\n".join(f"```\n{part}\n```" if kind == "code" else part for kind, part in parts)
    return parse_markdown(text.encode("utf-8", "replace"), path)


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
