"""CSV, TSV, JSON and JSON lines. The text is the file itself; blocks are rows, items, members."""

from __future__ import annotations

import json
import re
from pathlib import Path

from rag_chatbot.read.decode import decode
from rag_chatbot.read.document import Block, Document
from rag_chatbot.read.markdown_lines import read_lines
from rag_chatbot.read.text import parse_markdown
from seedbed.errors import BadInput

SPACE = re.compile(r"[\s,]*")


def parse_csv(data: bytes, path: Path) -> Document:
    """One table; a chunk that does not begin with its header row gets the header as heading."""
    text = decode(data)
    start, end = len(text) - len(text.lstrip()), len(text.rstrip())
    return Document(text, (Block("table", start, end),), path.stem)


def parse_jsonl(data: bytes, path: Path) -> Document:
    text = decode(data)
    lines = [line for line in read_lines(text) if line.text]
    if not lines:
        return Document(text, (), path.stem)
    try:
        json.loads(text[lines[0].start : lines[0].end])
    except (ValueError, RecursionError) as error:
        raise BadInput(f"Line 1 is not JSON: {error}.") from None
    return Document(text, tuple(Block("code", line.start, line.end) for line in lines), path.stem)


def parse_json(data: bytes, path: Path) -> Document:
    """Items of an array, members of an object: each a block. An object's keys are headings."""
    text = decode(data)
    try:
        value = json.loads(text)
    except RecursionError:
        raise BadInput("The JSON is nested too deeply.") from None
    except ValueError as error:
        raise BadInput(f"It is not JSON: {error}.") from None
    if isinstance(value, dict | list) and value:
        blocks = tuple(_members(text, isinstance(value, dict)))
    else:
        blocks = (Block("code", 0, len(text.rstrip())),)
    return Document(text, blocks, path.stem)


def parse_notebook(data: bytes, path: Path) -> Document:
    """A Jupyter notebook as Markdown: its text cells, its code between fences; no outputs."""
    try:
        cells = json.loads(decode(data)).get("cells", [])
        parts = [(cell.get("cell_type"), "".join(cell.get("source", ""))) for cell in cells]
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise BadInput(f"It is not a Jupyter notebook: {error}.") from None
    text = "\n\n".join(f"```\n{part}\n```" if kind == "code" else part for kind, part in parts)
    return parse_markdown(text.encode("utf-8", "replace"), path)


def _members(text: str, is_object: bool) -> list[Block]:
    """Spans of what stands directly in the outermost array or object of valid JSON."""
    decoder = json.JSONDecoder()
    found: list[tuple[int, int, int]] = []
    at = _skip(text, text.index("{" if is_object else "[") + 1)
    while text[at] not in "]}":
        start = at
        key_end = start
        if is_object:
            _, key_end = decoder.raw_decode(text, at)
            at = _skip(text, text.index(":", key_end) + 1)
        _, end = decoder.raw_decode(text, at)
        found.append((start, key_end, end))
        at = _skip(text, end)
    headed = is_object and any(end - start > 300 for start, _, end in found)
    blocks: list[Block] = []
    for start, key_end, end in found:
        if headed:
            blocks.append(Block("heading", start + 1, key_end - 1, 1))
        blocks.append(Block("code", start, end))
    return blocks


def _skip(text: str, at: int) -> int:
    match = SPACE.match(text, at)
    return match.end() if match else at
