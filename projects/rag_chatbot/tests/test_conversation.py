import json
import re
import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_chatbot.conversation import SCHEMA, Conversations, as_pattern
from seedbed.errors import NotFound, Unavailable


@pytest.fixture
def conversations(tmp_path):
    return Conversations(tmp_path / "deep" / "conversations.sqlite")


def answer(text="It is blue.", quote="The sky\nis **blue**.", abstained=False):
    cited = [] if abstained else [{"quote": quote, "source": "sky.md"}]
    return {
        "answer": text,
        "question": "What colour is it?",
        "abstained": abstained,
        "citations": cited,
    }


def rated(conversations, rating, **kwargs):
    talk = conversations.start("alice", "default", "Colours")
    turn = conversations.add(talk, "Which?", answer(**kwargs))
    conversations.rate(turn, "alice", rating, "well")
    return turn


def test_turns_are_ordered_after_a_restart(conversations):
    talk = conversations.start("alice", "notes", "First question")
    first = conversations.add(talk, "one", answer("1"))
    second = conversations.add(talk, "two", answer("2"))
    turns = Conversations(conversations.path).turns(talk, "alice")
    assert [(t.id, t.question, t.answer["answer"]) for t in turns] == [
        (first, "one", "1"),
        (second, "two", "2"),
    ]
    assert conversations.find(talk, "alice").collection == "notes"


def test_list_returns_the_newest_first(conversations):
    ids = [conversations.start("alice", "default", str(n)) for n in range(3)]
    assert [item.id for item in conversations.list("alice")] == ids[::-1]
    assert len(conversations.list("alice", limit=2)) == 2
    assert [item.id for item in conversations.list("alice", offset=1)] == ids[1::-1]


def test_list_moves_a_continued_conversation_to_the_top(conversations):
    first = conversations.start("alice", "default", "First")
    second = conversations.start("alice", "default", "Second")
    with sqlite3.connect(conversations.path) as database:  # as if asked long ago
        database.execute("UPDATE conversations SET created = '2026-01-01T00:00:00.000Z'")
    assert [item.id for item in conversations.list("alice")] == [second, first]
    conversations.add(first, "And then?", answer())
    top, below = conversations.list("alice")
    assert (top.id, below.id) == (first, second)
    assert top.updated > top.created == below.updated


def test_list_selects_conversations_by_origin(conversations):
    on_page = conversations.start("alice", "default", "On the page", "page")
    by_api = conversations.start("alice", "default", "By the API")
    assert [item.id for item in conversations.list("alice", origin="page")] == [on_page]
    assert [item.id for item in conversations.list("alice", origin="api")] == [by_api]
    assert len(conversations.list("alice")) == 2


def test_file_without_origins_is_upgraded(tmp_path):
    path = tmp_path / "c.sqlite"
    old = SCHEMA.replace(",\n    origin TEXT NOT NULL DEFAULT 'page'", "")
    assert old != SCHEMA
    with sqlite3.connect(path) as database:
        database.executescript(old)
        database.execute(
            "INSERT INTO conversations VALUES ('a', 'alice', 'default', 'Old', '2026')"
        )
    for _ in range(2):
        [item] = Conversations(path).list("alice", origin="page")
        assert (item.title, item.updated) == ("Old", "2026")


def test_title_is_cut(conversations):
    talk = conversations.start("alice", "default", "word " * 100)
    assert len(conversations.find(talk, "alice").title) <= 80


def test_conversations_are_private_to_their_caller(conversations):
    talk = conversations.start("alice", "default", "Mine")
    turn = conversations.add(talk, "one", answer())
    assert conversations.list("bob") == []
    for attempt in (
        lambda: conversations.turns(talk, "bob"),
        lambda: conversations.delete(talk, "bob"),
        lambda: conversations.rate(turn, "bob", "up"),
    ):
        with pytest.raises(NotFound):
            attempt()
    with pytest.raises(NotFound) as absent:
        conversations.find("0" * 32, "bob")
    with pytest.raises(NotFound) as hidden:
        conversations.find(talk, "bob")
    assert str(hidden.value).replace(talk, "X") == str(absent.value).replace("0" * 32, "X")
    assert conversations.turns(talk, "alice")[0].rating is None


def test_delete_removes_the_turns(conversations):
    talk = conversations.start("alice", "default", "Mine")
    conversations.add(talk, "one", answer())
    conversations.delete(talk, "alice")
    with sqlite3.connect(conversations.path) as database:
        assert database.execute("SELECT count(*) FROM turns").fetchone() == (0,)
    with pytest.raises(NotFound):
        conversations.add(talk, "two", answer())


def test_rate_replaces_and_none_removes(conversations):
    turn = rated(conversations, "up")
    conversations.rate(turn, "alice", "down", "no")
    assert [case["rating"] for case in conversations.export(rating="down")] == ["down"]
    assert list(conversations.export()) == []
    conversations.rate(turn, "alice", None)
    assert list(conversations.export(rating=None)) == []


def test_export_makes_cases_for_eval(conversations):
    good = rated(conversations, "up")
    rated(conversations, "down")
    right_refusal = rated(conversations, "up", abstained=True)
    first, second = conversations.export()
    assert (first["id"], first["question"], first["source"]) == (
        good,
        "What colour is it?",
        ["sky.md"],
    )
    assert first["answerable"] and re.search(first["answers"][0], "So: the sky is blue!", re.I)
    assert (second["id"], second["answerable"], second["answers"]) == (right_refusal, False, [])
    assert json.dumps(first)
    assert [case["rating"] for case in conversations.export(rating=None)] == ["up", "down", "up"]


@settings(deadline=None, derandomize=True)
@given(st.text(max_size=200))
def test_as_pattern_matches_its_quote(quote):
    assert re.search(as_pattern(quote), quote)


def test_damaged_file_is_reported_with_its_path(tmp_path):
    conversations = Conversations(tmp_path / "c.sqlite")
    conversations.path.mkdir()
    with pytest.raises(Unavailable, match=r"c\.sqlite"):
        conversations.list("alice")
