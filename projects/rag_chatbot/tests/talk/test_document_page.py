from html.parser import HTMLParser
from types import SimpleNamespace

from hypothesis import given, settings
from hypothesis import strategies as st

from rag_chatbot.talk.document_page import document_page

TAGS = "html meta title style header a b main div pre mark".split()


class ParsedPage(HTMLParser):
    def __init__(self, response):
        super().__init__()
        self.tags, self.attributes = set(), []
        self.feed(response.body.decode("utf-8", "surrogatepass"))

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs


def view(text, start=0, end=0, kind="markdown", source="a.md"):
    return document_page(SimpleNamespace(source=source, text=text, type=kind), start, end)


@settings(deadline=None, derandomize=True)
@given(
    st.text(max_size=200) | st.text(st.sampled_from("<&'\"/> ab"), max_size=60),
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
    assert {value for name, value in page.attributes if name == "href"} <= {"#quote"}
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script" not in policy
