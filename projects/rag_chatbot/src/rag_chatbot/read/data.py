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
from rag_chatbot.read.text import parse_markdown
from seedbed.errors import BadInput


def parse_csv(data: bytes, path: Path) -> Document:
    """One table. Its first row is the header, which later chunks of it get as their heading."""
    text = decode(data)
    start, end = len(text) - len(text.lstrip()), len(text.rstrip())
    return Document(text, (Block("table", start, end),), path.stem)


def parse_jsonl(data: bytes, path: Path) -> Document:
    """One block per line. Only the first line is checked to be JSON."""
    text = decode(data)
    lines = list(re.finditer(r"\S[^\n]*", text))
    if not lines:
        return Document(text, (), path.stem)
    try:
        json.loads(lines[0][0])
    except (ValueError, RecursionError) as error:
        raise BadInput(f"Line 1 is not valid JSON: {error}.") from None
    return Document(text, tuple(Block("code", *line.span()) for line in lines), path.stem)


def parse_json(data: bytes, path: Path) -> Document:
    """One block of code, which is cut between lines where it is too long for a chunk."""
    text = decode(data)
    try:
        json.loads(text)
    except RecursionError:
        raise BadInput("The JSON is nested too deeply.") from None
    except ValueError as error:
        raise BadInput(f"Invalid JSON: {error}.") from None
    return Document(text, (Block("code", 0, len(text.rstrip())),), path.stem)


def parse_notebook(data: bytes, path: Path) -> Document:
    """A Jupyter notebook as Markdown: text cells, and code cells between fences. No outputs."""
    try:
        cells = json.loads(decode(data)).get("cells", [])
        parts = [(cell.get("cell_type"), "".join(cell.get("source", ""))) for cell in cells]
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise BadInput(f"Not a Jupyter notebook: {error}.") from None
    text = "\n\n".join(f"```\n{part}\n```" if kind == "code" else part for kind, part in parts)
    return parse_markdown(text.encode("utf-8", "replace"), path)
