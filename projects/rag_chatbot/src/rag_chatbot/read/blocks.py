"""The blocks of Markdown and of plain text, with their offsets.

    [block.kind for block in read_markdown("# Tea\n\nPour.\n")]    # ["heading", "paragraph"]

Markdown is CommonMark with tables, read by markdown-it-py. `read_markdown` and `read_plain` are for
files, whose blocks become chunks; `read_leaves` is for a chunk, whose blocks become quotes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from markdown_it import MarkdownIt

from rag_chatbot.read.document import Block, Kind

TITLE_CHARS = 200  # a longer line is a paragraph, even if it is underlined

_PARSER = MarkdownIt("commonmark").enable("table").disable(["inline", "text_join"])
_KINDS: dict[str, Kind] = {
    "heading_open": "heading",
    "paragraph_open": "paragraph",
    "blockquote_open": "paragraph",
    "html_block": "paragraph",
    "bullet_list_open": "list",
    "ordered_list_open": "list",
    "table_open": "table",
    "fence": "code",
    "code_block": "code",
}
_ROWS = re.compile(r"(?:[ \t]*\|[^\n]*\|[ \t]*(?:\n|\Z))+")
_ROW_RULE = re.compile(r"(?=[^|+]*[|+])[ \t]*[|+:=-][-=+|: \t]{2,}$")
_ITEM = re.compile(r"[ \t]*(?:[-*+•]|\(?(?:\d{1,3}|[a-z]|#)[.)])[ \t]+\S")
_RUN = re.compile(r"[^\n]*\S[^\n]*(?:\n[^\n]*\S[^\n]*)*")  # lines without a blank one among them
_UNDERLINE = re.compile(r"([=\-~^\"'*+#_.:`])\1{2,}[ \t]*")
_EQUALS_SIGNS = re.compile(r"(={1,6})[ \t]+(\S.*)")


def read_markdown(text: str, start: int = 0) -> Iterator[Block]:
    """The blocks of the text from `start` on, without thematic breaks and link definitions."""
    tokens = _PARSER.parse(text[start:])
    lines = _line_starts(text, start)
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        kind = _KINDS.get(token.type)
        if token.level or not token.map or kind is None:
            continue
        first, last = _span(text, lines, token.map)
        if kind == "heading":
            title = following.content if following else ""
            first = text.find(title, first)
            if title and first >= 0:
                yield Block("heading", first, first + len(title), int(token.tag[1]))
        elif first < last:
            yield Block(kind, first, last)


def read_plain(text: str) -> Iterator[Block]:
    """The blocks of plain text, between blank lines.

    Headings are underlined, or begin with `=` as in AsciiDoc; tables are between bars.
    """
    for run in _RUN.finditer(text):
        start, end = run.span()
        first, _, rest = run[0].partition("\n")
        second = rest.partition("\n")[0]
        title = _EQUALS_SIGNS.fullmatch(first.rstrip())
        if title:
            yield Block("heading", start + title.start(2), start + title.end(2), len(title[1]))
            start += len(first) + 1
        elif len(first) <= TITLE_CHARS and _UNDERLINE.fullmatch(second) and "|" not in first:
            indent = len(first) - len(first.lstrip())
            level = 1 if second[0] == "=" else 2
            yield Block("heading", start + indent, start + len(first.rstrip()), level)
            start += len(first) + len(second) + 2
        body = text[start:end].rstrip()
        if body.strip():
            yield Block(_plain_kind(body), start, start + len(body))


def read_leaves(text: str, kind: str) -> Iterator[Block]:
    """The innermost blocks of a chunk of a document of this format; a list item is a "list"."""
    if kind == "text":
        for block in read_plain(text):
            starts = [m.start() for m in re.finditer(r"^", text[block.start : block.end], re.M)]
            items = [n for n in starts if _ITEM.match(text, block.start + n)]
            if block.kind != "list":
                yield block
                continue
            for first, last in zip(items, [*items[1:], block.end - block.start], strict=True):
                yield Block("list", block.start + first, block.start + last)
        return
    lines = _line_starts(text, 0)
    item: int | None = None  # where the list item begins whose first block is next
    depth = 0
    for token in _PARSER.parse(text):
        depth += token.nesting * (token.type.startswith("list_item"))
        leaf = _KINDS.get(token.type)
        if token.type == "list_item_open" and token.map:
            item = lines[token.map[0]] if item is None else item
        if not token.map or leaf in (None, "list") or token.type == "blockquote_open":
            continue
        first, last = _span(text, lines, token.map)
        first, item = (first if item is None else item), None
        if leaf == "paragraph" and _ROWS.fullmatch(text, first, last):
            leaf = "table"  # whose header is in another chunk
        yield Block("list" if leaf == "paragraph" and depth else leaf, first, last)


def is_row(line: str) -> bool:
    """Whether the line is a table row between bars, `| a | b |`."""
    return bool(_ROWS.fullmatch(line))


def is_row_rule(line: str) -> bool:
    """Whether the line is the one below a table's header, `|---|:-:|`, or a border, `+---+`."""
    return bool(_ROW_RULE.match(line))


def _plain_kind(body: str) -> Kind:
    lines = body.split("\n")
    if len(lines) > 1 and any(is_row(line) or is_row_rule(line) for line in lines[:2]):
        return "table"
    if _ITEM.match(body):
        return "list"
    indented = all(line.startswith(("    ", "\t")) for line in lines)
    return "code" if indented and not body.endswith((".", "!", "?", ":")) else "paragraph"


def _line_starts(text: str, start: int) -> list[int]:
    return [start, *(start + match.end() for match in re.finditer("\n", text[start:]))]


def _span(text: str, lines: list[int], between: list[int]) -> tuple[int, int]:
    """Offsets of the lines from `between[0]` up to `between[1]`, without space at the end."""
    first = lines[between[0]]
    last = lines[between[1]] if between[1] < len(lines) else len(text)
    return first, first + len(text[first:last].rstrip())
