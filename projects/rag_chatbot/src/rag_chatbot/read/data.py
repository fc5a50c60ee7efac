"""Parse CSV, TSV, JSON, JSON Lines and Jupyter notebooks.

    parse_jsonl(b'{"a": 1}\n{"b": 2}\n', Path("a.jsonl")).blocks    # one block per line

The text is the file itself, except for notebooks, which become Markdown.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from rag_chatbot.read.decode import decode
from rag_chatbot.read.document import Block, Document
from rag_chatbot.read.markdown_lines import read_lines
from rag_chatbot.read.text import parse_markdown
from seedbed.errors import BadInput

LONG_MEMBER = 300  # characters; from this length on, keys are worth being headings
SEPARATORS = re.compile(r"[\s,]*")


def parse_csv(data: bytes, path: Path) -> Document:
    """One table. Its first row is the header, which later chunks of it get as their heading."""
    text = decode(data)
    start, end = len(text) - len(text.lstrip()), len(text.rstrip())
    return Document(text, (Block("table", start, end),), path.stem)


def parse_jsonl(data: bytes, path: Path) -> Document:
    """One block per line. Only the first line is checked to be JSON."""
    text = decode(data)
    lines = [line for line in read_lines(text) if line.text]
    if not lines:
        return Document(text, (), path.stem)
    try:
        json.loads(text[lines[0].start : lines[0].end])
    except (ValueError, RecursionError) as error:
        raise BadInput(f"Line 1 is not valid JSON: {error}.") from None
    return Document(text, tuple(Block("code", line.start, line.end) for line in lines), path.stem)


def parse_json(data: bytes, path: Path) -> Document:
    """One block per item of an array or member of an object. Keys of long members are headings."""
    text = decode(data)
    try:
        value = json.loads(text)
    except RecursionError:
        raise BadInput("The JSON is nested too deeply.") from None
    except ValueError as error:
        raise BadInput(f"Invalid JSON: {error}.") from None
    if isinstance(value, dict | list) and value:
        blocks = tuple(_members(text, isinstance(value, dict)))
    else:
        blocks = (Block("code", 0, len(text.rstrip())),)
    return Document(text, blocks, path.stem)


def parse_notebook(data: bytes, path: Path) -> Document:
    """A Jupyter notebook as Markdown: text cells, and code cells between fences. No outputs."""
    try:
        cells = json.loads(decode(data)).get("cells", [])
        parts = [(cell.get("cell_type"), "".join(cell.get("source", ""))) for cell in cells]
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise BadInput(f"Not a Jupyter notebook: {error}.") from None
    text = "\n\n".join(f"```\n{part}\n```" if kind == "code" else part for kind, part in parts)
    return parse_markdown(text.encode("utf-8", "replace"), path)


def _members(text: str, is_object: bool) -> list[Block]:
    """Blocks of the items or members of the outermost array or object. `text` is valid JSON."""
    decoder = json.JSONDecoder()
    members: list[tuple[int, int, int]] = []  # start, end of the key, end of the value
    at = _skip(text, text.index("{" if is_object else "[") + 1)
    while text[at] not in "]}":
        start = at
        key_end = start
        if is_object:
            _, key_end = decoder.raw_decode(text, at)
            at = _skip(text, text.index(":", key_end) + 1)
        _, end = decoder.raw_decode(text, at)
        members.append((start, key_end, end))
        at = _skip(text, end)
    with_headings = is_object and any(end - start > LONG_MEMBER for start, _, end in members)
    blocks: list[Block] = []
    for start, key_end, end in members:
        if with_headings:
            blocks.append(Block("heading", start + 1, key_end - 1, 1))
        blocks.append(Block("code", start, end))
    return blocks


def _skip(text: str, at: int) -> int:
    match = SEPARATORS.match(text, at)
    return match.end() if match else at
