from html.parser import HTMLParser

from hypothesis import given, settings
from hypothesis import strategies as st

from rag_chatbot.talk.document_page import document_page


class TagCollector(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags = set()

    def handle_starttag(self, tag, _):
        self.tags.add(tag)


@settings(deadline=None, derandomize=True)
@given(st.text(max_size=200), st.integers(-5, 300), st.integers(-5, 300))
def test_document_page_escapes_any_text(text, start, end):
    response = document_page(text, text, start, end)
    parser = TagCollector()
    parser.feed(response.body.decode("utf-8", "surrogatepass"))
    assert parser.tags <= {"html", "meta", "title", "style", "h1", "pre", "mark"}
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script" not in policy


def test_document_page_marks_quote():
    body = document_page("a.md", "one <two> three", 4, 9).body.decode()
    assert '<mark id="quote">&lt;two&gt;</mark> three' in body
