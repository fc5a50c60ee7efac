from html.parser import HTMLParser
from types import SimpleNamespace

from hypothesis import given, settings
from hypothesis import strategies as st

from rag_chatbot.talk import page_html
from rag_chatbot.talk.document_page import document_page
from seedbed.server.html import error, hint

HOSTILE = (
    "<script>alert(1)</script> <img src=x onerror=alert(1)> ![x](http://192.0.2.1/leak) "
    "[click](javascript:alert(1)) </div><iframe src='//192.0.2.1'> $$x$$ `code` \n\n# Title\n| a |"
)
ALLOWED_TAGS = {
    *"div p br a ol ul li blockquote pre code details summary".split(),
    *"table thead tbody tr th td input".split(),
}


class ParsedHtml(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.tags, self.links, self.words = [], [], ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.links += [value for name, value in attrs if name in ("href", "src")]

    def handle_data(self, data):
        self.words += data


def answer_json(text=HOSTILE, **changes):
    place = {"source": text, "page": 3, "heading": text, "start": 2, "end": 9}
    citation, passage = {**place, "n": 1, "quote": text}, {**place, "text": text, "score": 0.5}
    return {
        "answer": f"{text} [1]",
        "abstained": False,
        "citations": [citation],
        "question": text,
        "model": text,
        "prompt_version": text,
        "usage": {"input_tokens": 5, "output_tokens": 1, "cost_usd": None},
        "timings": {"total": 1.25, "retrieve": 0.02},
        "passages": [passage],
        "notices": [text],
    } | changes


def is_inert(html):
    page = ParsedHtml(html)
    names = {name for _, attrs in page.tags for name in attrs}
    return (
        {tag for tag, _ in page.tags} <= ALLOWED_TAGS
        and not any(name.startswith("on") for name in names)
        and all(link.startswith("/v1/documents/view?") for link in page.links)
        and "\n" not in html  # a blank line would end the HTML block, and Markdown would begin
    )


@settings(deadline=None, derandomize=True)
@given(st.text(max_size=300))
def test_html_escapes_any_text(text):
    uploaded = {"added": 1, "updated": 0, "unchanged": 0, "skipped": []}
    uploaded["failed"] = [{"path": text, "reason": text}]
    document = {"source": text, "type": "markdown", "added": "2026-08-03T10:00:00Z"}
    for html in (
        page_html.plain_text(text),
        page_html.text(text),
        error(text),
        hint(text),
        page_html.answer(answer_json(text), text),
        page_html.answer(answer_json(text, citations=[], abstained=True), text),
        page_html.summary(uploaded),
        page_html.documents([document], text),
    ):
        assert is_inert(html), html


MARKUP = st.text(st.sampled_from("<&'\"/> ab"), max_size=60)


@settings(deadline=None, derandomize=True)
@given(st.text(max_size=200) | MARKUP, st.integers(-5, 300), st.integers(-5, 300), st.booleans())
def test_document_page_escapes_any_text(text, start, end, is_code):
    kind = "code" if is_code else "markdown"
    document = SimpleNamespace(source=text, text=text, type=kind)
    response = document_page(document, start, end)
    page = ParsedHtml(response.body.decode("utf-8", "surrogatepass"))
    tags = set("html meta title style header a b main div pre mark".split())
    assert {tag for tag, _ in page.tags} <= tags and set(page.links) <= {"#quote"}
    attributes = {name for _, attrs in page.tags for name in attrs}
    assert attributes <= {"lang", "charset", "name", "content", "href", "id", "class"}
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script" not in policy


def test_answer_links_citation_marks_to_passages():
    html = page_html.answer(answer_json("Short."), "my notes")
    marks = [attrs for tag, attrs in ParsedHtml(html).tags if attrs.get("class") == "cite"]
    expected = "/v1/documents/view?collection=my+notes&source=Short.&start=2&end=9#quote"
    assert [mark["href"] for mark in marks] == [expected]
    assert "class='cite'" not in page_html.text("See [7].", {1: "/v1/documents/view?x"})


def test_text_keeps_line_breaks_of_code_and_links_no_marks_in_it():
    html = page_html.text("Run it:\n```sh\nmake run\n\necho [1]\n```\nDone. [1]", {1: "/x"})
    assert "<pre><code>make run&#10;&#10;echo &#91;1&#93;</code></pre>" in html
    assert html.count("class='cite'") == 1
    unfinished = page_html.text("Run:\n```\nmake")
    assert "<pre><code>make</code></pre>" in unfinished


def test_answer_shows_how_it_was_produced():
    words = ParsedHtml(page_html.answer(answer_json("What?"), "default")).words
    assert "Searched for: What?" in words
    assert "total 1.25 s, retrieve 0.02 s" in words
    assert "5 tokens read, 1 written, cost in USD: unknown" in words
    quoted = answer_json("What?", usage={"input_tokens": 0, "output_tokens": 0, "cost_usd": 0.0})
    assert "without a language model" in ParsedHtml(page_html.answer(quoted, "default")).words
