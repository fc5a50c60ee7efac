"""A dataset is cleaned, split without leaks, described, and written whole or not at all."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune_lora.data.clean import Removed, without_duplicates, without_near_duplicates
from finetune_lora.data.prepare import prepare
from finetune_lora.data.read import as_lines, load_dataset
from finetune_lora.data.split import assign
from finetune_lora.example import Example
from seedbed.errors import BadInput

ANIMALS = "otter badger heron falcon walrus lemur bison gecko marten osprey".split()
PLACES = "river forest harbour valley castle meadow island tunnel market bridge".split()


def some_rows(n: int = 100) -> list[dict]:
    return [
        {"text": f"{ANIMALS[i % 10]} {PLACES[i // 10 % 10]} {i * 7919}", "label": "ab"[i % 2]}
        for i in range(n)
    ]


def source(folder: Path, rows: list[dict], name: str = "source.jsonl") -> Path:
    (folder / name).write_bytes(as_lines(rows))
    return folder / name


def texts(path: Path) -> set[str]:
    return {e.text for e in load_dataset(path).examples}


def sizes(card: dict) -> dict[str, int]:
    return {name: split["rows"] for name, split in card["splits"].items()}


def test_splits_are_disjoint_stratified_and_described(tmp_path):
    rows = some_rows()
    rows[7]["text"] = "write to anna.schmidt@example.com please"
    out = tmp_path / "out"
    card = prepare(source(tmp_path, rows), out)
    assert sizes(card) == {"train": 80, "dev": 10, "test": 10}
    assert card["splits"]["test"]["labels"] == {"a": 5, "b": 5}
    parts = [texts(out / f"{name}.jsonl") for name in card["splits"]]
    assert len(set.union(*parts)) == sum(map(len, parts)) == 100
    assert card["pii"] == {"email": {"found": 1, "rows": 1}}
    assert json.loads((out / "card.json").read_text())["splits"] == card["splits"]
    page = (out / "DATA_CARD.md").read_text()
    assert "| train | 80 |" in page
    # The page can be published: it shows neither folders of this machine nor personal data.
    assert "- Source: `source.jsonl`" in page
    assert str(tmp_path) not in page and "anna" not in page


def test_duplicates_conflicts_and_near_duplicates_are_counted(tmp_path):
    near = "the printer on the second floor prints only blank pages since this morning"
    rows = [
        *some_rows(40),
        {"text": "Lost my  BADGE", "label": "a"},
        {"text": "lost my badge", "label": "a"},
        {"text": "cafe\u0301 closed", "label": "a"},
        {"text": "caf\u00e9 closed", "label": "b"},
        {"text": near, "label": "a"},
        {"text": near + "!", "label": "a"},
        {"text": near + "?", "label": "b"},
    ]
    card = prepare(source(tmp_path, rows), tmp_path / "out")
    assert card["removed"] == {
        "refused": 0,
        "not_rated_up": 0,
        "duplicates": 1,
        "labels_in_conflict": 2,
        "near_duplicates": 1,
        "leaks": 0,
    }
    assert card["conflicts"] == [[43, 44]]
    assert any("43, 44" in warning for warning in card["warnings"])
    # The one with another label stays, in the split of its neighbour.
    [split] = [p for p in (tmp_path / "out").glob("*.jsonl") if near in texts(p)]
    assert near + "?" in texts(split)


def test_another_answer_or_instruction_is_not_a_duplicate():
    question = {"role": "user", "content": "The weather is fine today"}
    examples = [
        Example(
            ({"role": "system", "content": task}, question, {"role": "assistant", "content": a})
        )
        for task, a in (("French", "x"), ("German", "x"), ("French", "y"), ("French", "x"))
    ]
    removed = Removed()
    remaining = without_near_duplicates(without_duplicates(examples, removed), removed)
    assert len(remaining) == 3
    assert (removed.rows["duplicates"], removed.conflicts) == (1, [])


def test_questions_of_given_splits_leave_train(tmp_path):
    rows = some_rows(60)
    test = [rows[0], {**rows[1], "text": rows[1]["text"].upper() + "!"}]
    card = prepare(
        source(tmp_path, [*rows, {"text": "Otter river 9", "label": "a"}]),
        tmp_path / "out",
        dev_data=source(tmp_path, [rows[0], rows[2]], "dev.jsonl"),
        test_data=source(tmp_path, test, "test.jsonl"),
    )
    assert sizes(card) == {"train": 57, "dev": 1, "test": 2}
    assert card["removed"]["leaks"] == 5
    assert any("5 rows also occur in the given dev or test data" in w for w in card["warnings"])
    assert not {r["text"] for r in rows[:3]} & texts(tmp_path / "out" / "train.jsonl")


def test_bad_rows_are_rejected_only_with_skip_bad(tmp_path):
    path, out = source(tmp_path, some_rows(50)), tmp_path / "out"
    path.write_bytes(path.read_bytes() + b"{\n" * 7)
    with pytest.raises(BadInput, match=r"source\.jsonl:51: 7 rows are invalid\. Line 51: "):
        prepare(path, out)
    assert not out.exists()
    card = prepare(path, out, skip_bad=True)
    assert card["removed"]["refused"] == 7
    rejected = [json.loads(line) for line in (out / "rejected.jsonl").read_text().splitlines()]
    assert [row["line"] for row in rejected] == [*range(51, 58)]
    assert all("Invalid JSON" in row["reason"] for row in rejected)
    prepare(source(tmp_path, some_rows(50)), out, dev=0)
    assert not (out / "rejected.jsonl").exists() and not (out / "dev.jsonl").exists()


def test_shares_and_rows_that_cannot_be_split(tmp_path):
    path, out = source(tmp_path, some_rows(1)), tmp_path / "out"
    for shares in ({"dev": 0.5, "test": 0.5}, {"dev": -1}):
        with pytest.raises(BadInput, match="not shares that leave rows for training"):
            prepare(path, out, **shares)
    with pytest.raises(BadInput, match="cannot be split into train, dev, test") as caught:
        prepare(path, out)
    assert "--dev 0 --test 0" in str(caught.value)
    assert sizes(prepare(path, out, dev=0, test=0)) == {"train": 1}
    conflict = [{"text": "same", "label": "a"}, {"text": "same", "label": "b"}]
    with pytest.raises(BadInput, match="labels in conflict 2"):
        prepare(source(tmp_path, conflict), out)


@given(
    groups=st.lists(st.integers(0, 30), min_size=40, max_size=120),
    seed=st.integers(0, 5),
    dev=st.sampled_from([0.0, 0.1, 0.3]),
)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_groups_stay_together_and_labels_stay_in_train(groups, seed, dev):
    groups = [str(group) for group in (*range(10), *groups)]
    labels = ["xyz"[int(group) % 3] for group in groups]
    names = assign(groups, labels, {"dev": dev, "test": 0.2}, seed)
    assert names == assign(groups, labels, {"dev": dev, "test": 0.2}, seed)
    assert len(set(zip(groups, names, strict=True))) == len(set(groups))
    assert {"train", "test"} <= set(names) <= {"train", "dev", "test"}
    assert {lab for lab, name in zip(labels, names, strict=True) if name == "train"} == set(labels)


def test_copies_that_differ_in_a_number_or_in_case_stay_on_one_side(tmp_path):
    copies = [
        f"refund needed, item {4000 + 7 * n} arrived broken{ending}"
        for n in range(20)
        for ending in ("", " today", " since monday", " again, please help")
    ]
    labels = ("refund", "complaint")
    rows = [{"text": text, "label": labels[i % 2]} for i, text in enumerate(copies)]
    rows += [{"text": text.upper(), "label": labels[i % 2]} for i, text in enumerate(copies)]
    card = prepare(source(tmp_path, [*rows, *some_rows(40)]), tmp_path / "out")
    sides: dict[str, set[str]] = {}
    for name in card["splits"]:
        for text in texts(tmp_path / "out" / f"{name}.jsonl"):
            sides.setdefault(re.sub(r"\d+", "0", text.lower()), set()).add(name)
    assert {form: names for form, names in sides.items() if len(names) > 1} == {}
    assert card["removed"]["near_duplicates"] + card["removed"]["duplicates"] > 100


def test_only_files_that_prepare_wrote_are_replaced(tmp_path):
    path, out = source(tmp_path, some_rows(10), "train.jsonl"), tmp_path / "out"
    with pytest.raises(BadInput, match="would be overwritten"):
        prepare(path, tmp_path)
    assert len(path.read_text().splitlines()) == 10
    out.mkdir()
    for name in ("notes.txt", "test.jsonl"):
        (out / name).write_text("labelled by hand")
        with pytest.raises(BadInput, match=f"contains other files, e\\.g\\. {re.escape(name)}"):
            prepare(path, out)
        assert (out / name).read_text() == "labelled by hand"
        (out / name).unlink()
    prepare(path, out)
    prepare(path, out, seed=1)  # its own files are replaced
    (out / "test.jsonl").write_text("labelled by hand")
    with pytest.raises(BadInput, match=r"contains other files, e\.g\. test\.jsonl"):
        prepare(path, out)
    assert (out / "test.jsonl").read_text() == "labelled by hand"
