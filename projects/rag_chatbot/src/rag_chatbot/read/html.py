"""HTML: headings, paragraphs, lists, tables and code of the main part, without page furniture.

Nothing is executed or fetched. The tree is walked without recursion.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from rag_chatbot.read.document import Document, Writer
from rag_chatbot.read.text import clean, decode

SKIP = frozenset("nav footer iframe select button head object canvas math textarea dialog".split())
SKIP_ROLES = {"navigation", "banner", "contentinfo", "search", "complementary"}
FURNITURE = re.compile(
    r"(?:^|[\s_-])(?:sidebar|sphinxsidebar|navbar|breadcrumbs?|headerlink|toc|cookie|skip-link|"
    r"menu|pagination|toctree-wrapper|related)(?:$|[\s_-])",
    re.IGNORECASE,
)
BLOCKS = frozenset(
    "p div section article main header aside blockquote ul ol dl dt dd li figure figcaption details"
    " summary address hr fieldset center body table tbody thead tr td th".split()
)
HEADINGS = {f"h{n}": n for n in range(1, 7)}
OPEN_OR_CLOSE = re.compile(
    r"<(/?)(?:div|span|section|article|blockquote|table|ul|ol|dl|font|b|i|em|strong|a|center|small"
    r"|big|u|sub|sup|code|main|details)\b",
    re.IGNORECASE,
)
MAX_DEPTH = 2000  # beyond it, the parser's time grows with the square of the depth


def parse_html(data: bytes, path: Path) -> Document:
    from selectolax.lexbor import LexborHTMLParser

    source = _decode(data)
    if _too_deep(source):
        source = re.sub(r"<(script|style)\b.*?</\1\s*>", " ", source, flags=re.I | re.S)
        source = f"<p>{re.sub(r'<[^<>]*>', ' ', source)}</p>"
    tree = LexborHTMLParser(source)
    tree.strip_tags(["script", "style", "noscript", "template", "svg"])
    title = tree.css_first("title")
    first = tree.css_first("h1")
    name = _words(first.text() if first else "") or _words(title.text() if title else "")
    root = _main(tree)
    writer = _Walk(root).writer if root is not None else Writer()
    return writer.document(_strip_anchor(name) or path.stem)


def _decode(data: bytes) -> str:
    """By the mark, UTF-8, or what the page says of itself; else a guess."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        said = re.search(rb"charset\s*=\s*[\"']?([\w-]+)", data[:4096], re.I)
        if said:
            try:
                return clean(data.decode(said[1].decode("ascii"), errors="replace"))
            except LookupError:
                pass
    return decode(data)


def _too_deep(source: str) -> bool:
    depth = 0
    for match in OPEN_OR_CLOSE.finditer(source):
        depth += -1 if match[1] else 1
        if depth > MAX_DEPTH:
            return True
    return False


def _main(tree: Any) -> Any:
    """The element that holds most of the words, where the page marks one."""
    body = tree.body
    if body is None:
        return tree.root
    whole = len(body.text())
    for selector in ("main", "[role=main]", "article"):
        found = tree.css_first(selector)
        if found is not None and len(found.text()) * 3 > whole:
            return found
    return body


class _Walk:
    """One pass over the tree; text gathers in `inline` until a block begins or ends."""

    def __init__(self, root: Any) -> None:
        self.writer = Writer()
        self.inline: list[str] = []
        self.items: list[str] = []  # of the list that is being read
        self.lists = 0
        node, depth = root, 0
        while node is not None:
            down = self._enter(node)
            child = node.first_child if down else None
            if child is not None:
                node, depth = child, depth + 1
                continue
            if down:
                self._leave(node)
            while depth and node.next is None:
                node, depth = node.parent, depth - 1
                self._leave(node)
            node = node.next if depth else None
        self._flush()
        self._end_list()

    def _enter(self, node: Any) -> bool:
        """Whether to go into it."""
        tag = node.tag
        if tag == "-text":
            self.inline.append(re.sub(r"\s+", " ", node.text_content or ""))
            return False
        if tag in SKIP or tag.startswith("-") or _furniture(node):
            return False
        if tag == "br":
            self.inline.append("\n")
        elif tag in HEADINGS:
            self._flush()
            self._end_list()
            text = _strip_anchor(_words(node.text()))
            self.writer.add("heading", text, HEADINGS[tag])
            return False
        elif tag == "pre":
            self._flush()
            self._end_list()
            self.writer.add("code", clean(node.text()))
            return False
        elif tag == "table" and not node.css_first("table table, h1, h2, h3, h4, pre, ul ul"):
            self._flush()
            self._end_list()
            self.writer.add("table", _table(node))
            return False
        elif tag in BLOCKS:
            self._flush()
            if tag in ("ul", "ol"):
                self.lists += 1
        return True

    def _leave(self, node: Any) -> None:
        tag = node.tag
        if tag in BLOCKS:
            self._flush()
        if tag in ("ul", "ol"):
            self.lists = max(0, self.lists - 1)
            if not self.lists:
                self._end_list()

    def _flush(self) -> None:
        lines = (" ".join(line.split()) for line in "".join(self.inline).split("\n"))
        text = clean("\n".join(line for line in lines if line))
        self.inline.clear()
        if not text:
            return
        if self.lists:
            self.items.append(f"{'  ' * (self.lists - 1)}- {text}")
        else:
            self.writer.add("paragraph", text)

    def _end_list(self) -> None:
        if self.items:
            self.writer.add("list", "\n".join(self.items))
            self.items.clear()


def _furniture(node: Any) -> bool:
    attributes = node.attributes
    if not attributes:
        return False
    if attributes.get("role") in SKIP_ROLES or attributes.get("aria-hidden") == "true":
        return True
    if "hidden" in attributes:
        return True
    marks = f"{attributes.get('class') or ''} {attributes.get('id') or ''}"
    return bool(FURNITURE.search(marks)) and node.tag not in ("body", "main", "article")


def _table(node: Any) -> str:
    rows = []
    for row in node.css("tr"):
        cells = [_words(cell.text(separator=" ")) for cell in row.css("td, th")]
        if any(cells):
            rows.append(" | ".join(cells))
    return "\n".join(rows)


def _words(text: str) -> str:
    return " ".join(clean(text).split())


def _strip_anchor(text: str) -> str:
    return text.rstrip("¶#§🔗 ").strip() or text
