"""HTML for pages: any text is shown unchanged, and nothing in it is interpreted."""

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from seedbed.server import html

HOSTILE = "<script>alert(1)</script> ' \" `x` ${y} $$z$$ ![i](http://192.0.2.1/) **b** a_b ~c~ |"


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.words, self.tags, self.attributes = "", [], {}
        self.feed(text)
        self.close()

    def handle_data(self, data: str) -> None:
        self.words += data

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= dict(attrs)


@given(st.text(max_size=200))
def test_escape_is_inert_in_elements_and_attributes(text: str) -> None:
    page = Page(f"<a title='{html.escape(text)}'>{html.escape(text)}</a>")
    assert page.tags == ["a"] and list(page.attributes) == ["title"]
    assert page.attributes["title"] == page.words


def test_pieces_escape_their_text_and_errors_are_announced() -> None:
    for piece in (html.error, html.hint):
        page = Page(piece(HOSTILE))
        assert page.words == HOSTILE and len(page.tags) == 1
    assert Page(html.error("x")).attributes == {"class": "error", "role": "alert"}
    assert html.multiline("a\x1b\n\n\nb <i>") == "a <br>b &lt;i&gt;"


def test_table_accepts_html_in_cells() -> None:
    page = Page(html.table(("run", "state"), [("a", "<b>ok</b>")], "runs"))
    assert page.words == "runstateaok"
    assert page.tags == "div table thead tr th th tbody tr td td b".split()
