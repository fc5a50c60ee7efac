"""What may be copied from a request, and where it stands there."""

from collections.abc import Callable, Iterator

import pytest

from tools.helpdesk.copied_values import COPIES, Copy, hours, numbers, phones, words


def values(copies: Callable[[str], Iterator[Copy]], text: str) -> list[str]:
    return [copy.value for copy in copies(text)]


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("call at 2pm, room 1408 or 3", {"14"}),
        ("1 p.m. or 9 a.m.", {"13", "9"}),
        ("on 205-555-0164 at 14:30", {"14"}),
        ("at 1500", {"15"}),
        ("at 06:30", {"6"}),
        ("Saturday afternoon at 3, or 0400", {"3", "15", "4"}),
        ("at nine", {"9", "21"}),
        ("at 12", {"12", "0"}),
        ("a quarter to five", {"4", "16"}),
        ("10 minutes to 3 pm", {"14"}),
        ("back to 3", {"3", "15"}),
        ("noon or midnight", {"12", "0"}),
        ("12 am", {"0"}),
        ("on 8331 2966", set()),
    ],
)
def test_hours(text: str, allowed: set[str]) -> None:
    assert set(values(hours, text)) == allowed


def test_what_may_be_copied_from_a_request() -> None:
    assert {"a.b@c.example", "Kim"} <= set(values(words, "mail a.b@c.example, or Kim."))
    assert "+4930123456" in values(phones, "call +49 (30) 123-456 at 5")
    assert set(values(phones, "15 455 94 23 985")) == {"154559423985", "4559423985"}
    assert values(phones, "+49 30 555 0192 or so") == ["+49305550192"]
    assert values(phones, "0271 555 014 11am") == ["0271555014"]
    assert values(phones, "205-555-0164 works") == ["2055550164"]
    found = values(numbers, "$39.99, 1,200, fifty-nine, a dozen")
    assert {"39.99", "1200", "59", "12"} <= set(found)


@pytest.mark.parametrize(
    ("name", "text", "value", "said"),
    [
        ("digits", "ticket T-104, please", "104", "104"),
        ("phones", "on +49 (30) 123-456 at 5", "+4930123456", "+49 (30) 123-456"),
        ("numbers", "pay $1,200.50 now", "1200.5", "1,200.50"),
        ("numbers", "some two hundred and forty-five docks", "245", "two hundred and forty-five"),
        ("numbers", "a dozen docks", "12", "dozen"),
        ("hours", "on Monday at 2:30 pm", "14", "2:30 pm"),
        ("hours", "at half past nine", "21", "nine"),
        ("lower words", "İpek asked for KIM.B", "kim.b", "KIM.B"),
    ],
)
def test_a_copy_is_cut_from_where_it_stands(name: str, text: str, value: str, said: str) -> None:
    copy = next(c for c in COPIES[name](text) if c.value == value)
    assert text[copy.start : copy.end] == said
    left = copy.cut_from(text)
    assert len(left) == len(text)
    assert value not in values(COPIES[name], left)
