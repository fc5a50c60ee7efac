import pytest

from rag_chatbot import demo

FACT = "The harbour of Vellin opens at six in the morning."
WHEN = "When does the harbour of Vellin open?"


@pytest.fixture
def docs(tmp_path, monkeypatch):
    monkeypatch.setenv("SEEDBED_EMBEDDINGS", "hash:")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "port.md").write_text(f"# Harbour\n\n{FACT}\n")
    return tmp_path / "docs"


def test_demo_returns_number_of_wrong_answers(docs, capsys):
    questions = [(WHEN, "six"), ("Who founded the city of Quillon?", None)]
    assert demo.run([docs], questions) == 0
    assert "port.md" in capsys.readouterr().out
    wrong = [(WHEN, "seven"), (WHEN, None), ("Who founded the city of Quillon?", "Ann")]
    assert demo.run([docs], wrong) == 3
    assert capsys.readouterr().err.count("WRONG: ") == 3


def test_demo_reports_altered_quote_and_missing_citation(open_chatbot):
    bot = open_chatbot({"port.md": FACT})
    answer = bot.ask(demo.Question(WHEN), caller=demo.OPERATOR)
    assert demo.problem(bot, answer, "six") == ""
    answer["citations"][0]["quote"] = "at seven"
    assert "is not in port.md" in demo.problem(bot, answer, "six")
    assert demo.problem(bot, {**answer, "citations": []}, "six") == "the answer has no citation"
