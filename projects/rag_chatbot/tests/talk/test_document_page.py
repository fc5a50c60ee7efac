import re
from html import unescape
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_chatbot.answer.evidence import sentences
from rag_chatbot.store.store import Chunk
from rag_chatbot.talk.document_page import RENDERED_CHARS, document_page

TAGS = """html meta title style header a b main div pre code mark h1 h2 h3 h4 h5 h6 p em strong br
    hr blockquote ul ol li table thead tbody tr th td""".split()
GUIDE = """---
title: Guide
---
# Guide

The harbour of *Vellin* opens
at **six**, see [the times](http://192.0.2.1/times).

> A quoted remark about **tides**. It has _two_ sentences.

- Bring `rope --long` and a lamp.
- A second point,
  on two lines.

1. First step here.

| tide | hour |
|------|------|
| low  | five |
| high | `six` |

```sh
make harbour
  make <tide>
```

![The harbour at night](http://192.0.2.1/night.png)
"""


class ParsedPage(HTMLParser):
    def __init__(self, response):
        super().__init__()
        self.tags, self.attributes = set(), []
        self.feed(response.body.decode("utf-8", "surrogatepass"))

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs


def view(text, start=0, end=0, kind="markdown", source="a.md"):
    return document_page(SimpleNamespace(source=source, text=text, type=kind), start, end, "/")


def marked(response):
    """The pieces of text that the page marks."""
    body = response.body.decode()
    pieces = re.findall("<mark[^>]*>(.*?)</mark>", body, re.DOTALL)
    assert body.count("id='quote'") == (1 if pieces else 0)
    return [unescape(piece) for piece in pieces]


markup = st.text(st.sampled_from("#*_`~|->[]()!<&'\"\\ \n1.ab⸨⸩"), max_size=60)


@settings(deadline=None, derandomize=True)
@given(
    st.text(max_size=200) | markup,
    st.integers(-5, 300),
    st.integers(-5, 300),
    st.sampled_from(["markdown", "text", "code", "html"]),
)
def test_document_page_escapes_any_text(text, start, end, kind):
    response = view(text, start, end, kind, source=text)
    page = ParsedPage(response)
    assert page.tags <= set(TAGS)
    assert {name for name, _ in page.attributes} <= {
        *("lang", "charset", "name", "content", "href", "id", "class", "start", "style")
    }
    assert {value for name, value in page.attributes if name == "href"} <= {"/", "#quote"}
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script" not in policy


@pytest.mark.parametrize("kind", ["text", "code", "rst"])
def test_document_page_shows_other_formats_as_their_text(kind):
    body = view("one <two> *three*", 4, 9, kind).body.decode()
    assert "one <mark id='quote'>&lt;two&gt;</mark> *three*" in body


def test_document_page_renders_markdown():
    body = view(GUIDE).body.decode()
    assert "<h1>Guide</h1>" in body and "<em>Vellin</em>" in body and "title: Guide" not in body
    assert "<li>Bring <code>rope --long</code> and a lamp.</li>" in body
    assert "make &lt;tide&gt;" in body and "The harbour at night" in body
    assert "192.0.2.1" not in body and "<mark" not in body


def test_document_page_renders_blocks_of_html_and_leaves_its_signs():
    text = "Run *this* for __init__:\n\n```\ncp <a> <b>\n```\n\n| Name |\n|---|\n| `x` |\n"
    body = view(text, 0, 10, "html").body.decode()
    assert "<mark id='quote'>Run *this*</mark> for __init__:" in body
    assert "<pre><code>cp &lt;a&gt; &lt;b&gt;" in body and "<td>`x`</td>" in body


def test_document_page_marks_every_sentence():
    start = GUIDE.index("The harbour")  # below its title
    text = GUIDE[start:]
    chunk = Chunk(1, 1, "a.md", 0, text, "", None, start, len(GUIDE), "", "markdown")
    spans = sentences(chunk)
    assert len(spans) > 10
    for span in spans:
        quote = re.sub(r"\(http.*?\)|\bsh\b|^1\.", "", span.quote)
        pieces = " ".join(marked(view(GUIDE, span.start, span.end)))
        shown = re.findall(r"\w+", pieces)
        assert [word.strip("_") for word in re.findall(r"\w+", quote)] == shown, quote


def test_document_page_marks_span_that_markdown_hides():
    start = GUIDE.index("http://192.0.2.1/times")
    assert marked(view(GUIDE, start, start + 4)) == ["http"]


def test_document_page_shows_large_markdown_as_its_text():
    text = "[" * RENDERED_CHARS + "x"  # rendering this takes seconds
    assert marked(view(text, RENDERED_CHARS, RENDERED_CHARS + 1)) == ["x"]
