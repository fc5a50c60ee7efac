import pytest

from rag_chatbot import demo

WHEN = "When does the harbour of Vellin open?"


@pytest.mark.parametrize(("expected", "wrong"), [("six", 0), ("seven", 1), ("", 1)])
def test_demo_returns_number_of_wrong_answers(tmp_path, monkeypatch, capsys, expected, wrong):
    monkeypatch.setenv("SEEDBED_EMBEDDINGS", "hash:")
    cases = {WHEN: expected, "Who founded the city of Quillon?": ""}
    monkeypatch.setattr(demo, "CASES", cases)
    (tmp_path / "port.md").write_text("# Harbour\n\nThe harbour of Vellin opens at six.\n")
    assert demo.run([tmp_path]) == wrong
    out, err = capsys.readouterr()
    assert "port.md" in out and err.count("WRONG: ") == wrong
