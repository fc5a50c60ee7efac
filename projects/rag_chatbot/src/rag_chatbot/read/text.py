"""Parse text-like files: Markdown, plain text with headings of any kind, source code, data.

    parse_markdown(b"# Title\\n\\nWords.\\n")  # a heading and a paragraph

The text of the document is the file itself, decoded, so a quote of it is verbatim; a parser only
finds the spans of its blocks, see `blocks.py`. Notebooks become Markdown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

from rag_chatbot.read.blocks import read_markdown, read_plain
from rag_chatbot.read.decode import decode
from rag_chatbot.read.document import Block, Document, Kind
from seedbed.errors import BadInput

TITLE_BLOCKS = 6  # a heading among the first blocks is taken for the title of the document
FRONT_MATTER_CHARS = 20_000

# A line of front matter: a key, a comment, an item, a part of the value above, or nothing.
YAML_LINE = re.compile(r"[\w.-]+:(?:\s|$)|[#}\]]|\s*-\s|[ \t]|$")

CODE_GAP = re.compile(r"\n(?:[ \t]*\n)+(?=\S)")


def parse_text(data: bytes) -> Document:
    """Plain text, also with markup. Headings are underlined, or begin with `=` as in AsciiDoc."""
    text = decode(data)
    blocks = tuple(read_plain(text))
    return Document(text, blocks, _first_heading(text, blocks))


def parse_markdown(data: bytes) -> Document:
    """Markdown. The title is that of the YAML front matter, or the first heading."""
    text = decode(data)
    body, title = _front_matter(text)
    blocks = tuple(read_markdown(text, body))
    return Document(text, blocks, title or _first_heading(text, blocks))


def parse_code(data: bytes) -> Document:
    """Source code: a block begins flush left after an empty line."""
    text = decode(data)
    starts = [0, *(gap.end() for gap in CODE_GAP.finditer(text)), len(text)]
    spans = [(start, start + len(text[start:end].rstrip())) for start, end in pairwise(starts)]
    return Document(text, tuple(Block("code", *span) for span in spans if span[0] < span[1]), "")


def parse_data(data: bytes, kind: Kind = "code") -> Document:
    """JSON and CSV as one block, which is cut between lines where it is too long for a chunk.

    A table's first row is its header, which later chunks of it get as their heading.
    """
    text = decode(data)
    start, end = len(text) - len(text.lstrip()), len(text.rstrip())
    return Document(text, (Block(kind, start, end),), "")


def parse_notebook(data: bytes) -> Document:
    """A Jupyter notebook as Markdown: text cells, and code cells between fences. No outputs."""
    try:
        cells = json.loads(decode(data)).get("cells", [])
        parts = [(cell.get("cell_type"), "".join(cell.get("source", ""))) for cell in cells]
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise BadInput(f"Not a Jupyter notebook: {error}.") from None
    text = "\n\n".join(f"```\n{part}\n```" if kind == "code" else part for kind, part in parts)
    return parse_markdown(text.encode("utf-8", "replace"))


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


PARSERS: dict[str, Callable[[bytes], Document]] = {
    "markdown": parse_markdown,
    "text": parse_text,
    "code": parse_code,
    "csv": partial(parse_data, kind="table"),
    "json": parse_data,
    "jsonl": parse_data,
    "notebook": parse_notebook,
}
