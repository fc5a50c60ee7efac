"""Parse HTML: headings, paragraphs, lists, tables and code of the main content.

    document = parse_html(b"<h1>Tea</h1><p>Pour.</p><nav>Home</nav>")
    document.text                                   # "Tea\\n\\nPour.\\n"

Navigation, footers and the like are left out. Nothing is executed or fetched.
"""

from __future__ import annotations

import re
from typing import Any

from rag_chatbot.read.decode import clean, decode, one_line
from rag_chatbot.read.document import Document, DocumentBuilder, Kind, markdown_table

_BLOCK_TAGS = """
    p div section article main header aside blockquote ul ol dl dt dd li figure figcaption details
    summary address hr fieldset center body table tbody thead tr td th
"""
BLOCKS = frozenset(_BLOCK_TAGS.split())  # elements that begin and end a paragraph
# What is not content: elements by tag, role, class or id.
SKIPPED = """
    nav, footer, iframe, select, button, head, object, canvas, math, textarea, dialog, script,
    style, noscript, template, svg, [hidden], [aria-hidden=true], [role=navigation], [role=banner],
    [role=contentinfo], [role=search], [role=complementary], .sidebar, .sphinxsidebar, .navbar,
    .breadcrumb, .breadcrumbs, .headerlink, .toc, #toc, .cookie, .skip-link, .menu, .pagination,
    .toctree-wrapper, .related
"""
HEADINGS = {f"h{n}": n for n in range(1, 7)}


def parse_html(data: bytes) -> Document:
    """The title is the first `<h1>`, or the `<title>`, or empty."""
    from selectolax.lexbor import LexborHTMLParser

    # 1. Parse, and find the title and the main content.
    tree = LexborHTMLParser(decode(data))
    title = tree.css_first("title")
    first = tree.css_first("h1")
    name = one_line(first.text() if first else "") or one_line(title.text() if title else "")
    for node in tree.css(SKIPPED):
        if node.tag not in ("body", "main", "article"):
            node.decompose()
    root = _main_element(tree)
    # 2. Walk the main content and build the blocks.
    builder = _Walk(root).builder if root is not None else DocumentBuilder()
    return builder.document(_strip_anchor(name))


def _main_element(tree: Any) -> Any:
    """`<main>` or `<article>` if it contains a third of the text or more, else the body."""
    body = tree.body
    if body is None:
        return tree.root
    whole = len(body.text())
    for element in tree.css("main, [role=main], article"):
        if len(element.text()) * 3 > whole:
            return element
    return body


class _Walk:
    """One pass over the tree. Text is collected in `inline` until a block begins or ends."""

    def __init__(self, root: Any) -> None:
        self.builder = DocumentBuilder()
        self.inline: list[str] = []
        self.items: list[str] = []  # of the current list
        self.lists = 0  # depth of nested lists
        self._visit(root)
        self._flush()
        self._end_list()

    def _visit(self, node: Any) -> None:
        tag = node.tag
        if tag == "-text":
            self.inline.append(re.sub(r"\s+", " ", node.text_content or ""))
        elif tag == "br":
            self.inline.append("\n")
        elif tag in HEADINGS:
            self._add("heading", _strip_anchor(one_line(node.text())), HEADINGS[tag])
        elif tag == "pre":
            self._add("code", clean(node.text()))
        elif tag == "table" and not node.css_first("table table, h1, h2, h3, h4, pre, ul ul"):
            self._add("table", _table(node))
        else:
            if tag in BLOCKS:
                self._flush()
            is_list = tag in ("ul", "ol")
            self.lists += is_list
            for child in node.iter(include_text=True):
                self._visit(child)
            if tag in BLOCKS:
                self._flush()
            self.lists -= is_list
            if is_list and not self.lists:
                self._end_list()

    def _add(self, kind: Kind, text: str, level: int = 0) -> None:
        self._flush()
        self._end_list()
        self.builder.add(kind, text, level)

    def _flush(self) -> None:
        """Make a paragraph or a list item of the text collected so far."""
        lines = (" ".join(line.split()) for line in "".join(self.inline).split("\n"))
        text = clean("\n".join(line for line in lines if line))
        self.inline.clear()
        if not text:
            return
        if self.lists:
            self.items.append(f"{'  ' * (self.lists - 1)}- {text}")
        else:
            self.builder.add("paragraph", text)

    def _end_list(self) -> None:
        if self.items:
            self.builder.add("list", "\n".join(self.items))
            self.items.clear()


def _table(node: Any) -> str:
    """A Markdown table. Its first row is the header if all its cells are `<th>`."""
    rows: list[list[str]] = []
    header = False
    for row in node.css("tr"):
        cells = row.css("td, th")
        words = [one_line(cell.text(separator=" ")) for cell in cells]
        if any(words):
            header |= not rows and all(cell.tag == "th" for cell in cells)
            rows.append(words)
    return markdown_table(rows, header=header)


def _strip_anchor(text: str) -> str:
    return text.rstrip("¶#§🔗 ").strip() or text
