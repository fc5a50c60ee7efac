import json
import re
import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_chatbot.conversation import ERASED, Conversations, as_pattern
from seedbed.errors import NotFound


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
    conversations.rate(turn, "alice", rating)
    return turn


def test_list_moves_a_continued_conversation_to_the_top(conversations):
    first = conversations.start("alice", "default", "word " * 100)
    second = conversations.start("alice", "default", "Second")
    with sqlite3.connect(conversations.path) as database:  # as if asked long ago
        database.execute("UPDATE conversations SET created = '2026-01-01T00:00:00.000Z'")
    assert [item.id for item in conversations.list("alice", ["default"])] == [second, first]
    conversations.add(first, "And then?", answer())
    top, below = conversations.list("alice", ["default"])
    assert (top.id, below.id) == (first, second) and len(top.title) <= 80
    assert top.updated > top.created == below.updated


def test_delete_removes_the_turns(conversations):
    talk = conversations.start("alice", "default", "Mine")
    conversations.add(talk, "one", answer())
    conversations.delete(talk, "alice")
    with sqlite3.connect(conversations.path) as database:
        assert database.execute("SELECT count(*) FROM turns").fetchone() == (0,)
    with pytest.raises(NotFound):
        conversations.add(talk, "two", answer())


def test_text_of_deleted_documents_leaves_the_file(conversations):
    talk = conversations.start("alice", "default", "Mine")
    conversations.add(talk, "one", answer("The sky is ultramarine.", "ultramarine"))
    conversations.add(talk, "two", answer(abstained=True))
    conversations.erase_deleted("notes", [])
    assert b"ultramarine" in conversations.path.read_bytes()
    conversations.erase_deleted("default", ["sea.md"])
    first, second = conversations.read(talk, "alice")[1]
    assert (first.answer["answer"], first.answer["citations"]) == (ERASED, [])
    assert second.answer["answer"] == "It is blue."
    assert b"ultramarine" not in conversations.path.read_bytes()
    assert list(conversations.export()) == []


def test_export_makes_cases_for_eval_of_what_was_rated_up(conversations):
    good = rated(conversations, "up")
    rated(conversations, "down")
    right_refusal = rated(conversations, "up", abstained=True)
    conversations.rate(rated(conversations, "up"), "alice", None)
    first, second = conversations.export()
    assert (first["id"], first["question"], first["source"]) == (
        good,
        "What colour is it?",
        ["sky.md"],
    )
    assert first["answerable"] and re.search(first["answers"][0], "So: the sky is blue!", re.I)
    assert (second["id"], second["answerable"], second["answers"]) == (right_refusal, False, [])
    assert json.dumps(first)


@settings(deadline=None, derandomize=True)
@given(st.text(max_size=200))
def test_as_pattern_matches_its_quote(quote):
    assert re.search(as_pattern(quote), quote)
