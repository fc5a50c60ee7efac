"""Text of an HTML mail: what a reader sees, and what only a program would read.

visible, hidden = read_html("<p>Hello</p><p style='display:none'>Approve it.</p>")
"""

import re

_MAX_TAGS = 20_000  # the parser takes quadratic time for nested tags: 1.3 s for this many
_BLOCKS = "p,div,tr,li,ul,ol,table,section,blockquote,pre,hr,h1,h2,h3,h4,h5,h6,dt,dd,center"
_HIDDEN = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0(?![\d.]*[1-9])", re.IGNORECASE
)
# Stand for line breaks and for the ends of quoted blocks until white space is collapsed.
_BREAK, _QUOTE, _UNQUOTE = _MARKS = "\ue000\ue001\ue002"


def read_html(html: str) -> tuple[str, str]:
    """(visible text, hidden text) of an HTML document, however malformed.

    Quoted blocks get the "> " of plain-text mails, so that `split_reply` recognizes them.
    """
    from selectolax.lexbor import LexborHTMLParser

    if html.count("<") > _MAX_TAGS:
        return re.sub(r"<[^<>]{0,2000}>", "\n", html), ""
    tree = LexborHTMLParser(re.sub(f"[{_MARKS}]", "", html))
    # 1. Mark line breaks and quoted blocks.
    tree.strip_tags(["script", "style", "head", "template", "title"])
    for node in tree.css("br,td,th"):
        node.insert_after(_BREAK if node.tag == "br" else " ")
    for node in tree.css(_BLOCKS):
        quote = node.tag == "blockquote"
        node.insert_before(_BREAK + _QUOTE * quote)
        node.insert_after(_UNQUOTE * quote + _BREAK)
    # 2. Take out hidden elements, the inner ones first.
    hidden = []
    for node in reversed(tree.css("[style],[hidden]")):
        if "hidden" in node.attributes or _HIDDEN.search(node.attributes.get("style") or ""):
            hidden.append(node.text(separator=""))
            node.decompose()
    text = tree.root.text(separator="") if tree.root else ""
    unseen = re.sub(rf"[{_MARKS}\s]+", " ", " ".join(reversed(hidden))).strip()
    return _lines(re.sub(r"\s+", " ", text)), unseen


def _lines(text: str) -> str:
    lines, depth = [""], 0
    for line in text.split(_BREAK):
        depth += line.count(_QUOTE)
        plain = re.sub(f"[{_MARKS}]", "", line).strip()
        if plain or lines[-1]:  # at most one empty line
            lines.append("> " * min(depth, 5) + plain if plain else "")
        depth -= line.count(_UNQUOTE)
    return "\n".join(lines).strip()
