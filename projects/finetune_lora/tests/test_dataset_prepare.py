"""A dataset is cleaned, split without leaks, described, and written whole or not at all."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from finetune_fakes import tiny_base
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune_lora.data.card import as_markdown
from finetune_lora.data.clean import cluster, without_duplicates, without_leaks
from finetune_lora.data.prepare import prepare
from finetune_lora.data.read import as_lines, load_dataset
from finetune_lora.data.split import assign
from finetune_lora.example import Example
from seedbed.errors import BadInput

ANIMALS = [
    "otter",
    "badger",
    "heron",
    "falcon",
    "walrus",
    "lemur",
    "bison",
    "gecko",
    "marten",
    "osprey",
]
PLACES = [
    "river",
    "forest",
    "harbour",
    "valley",
    "castle",
    "meadow",
    "island",
    "tunnel",
    "market",
    "bridge",
]


def labelled(text: str, label: str, line: int = 0) -> Example:
    messages = ({"role": "user", "content": text}, {"role": "assistant", "content": label})
    return Example(messages, label, {}, line)


def found_rows(n: int = 100) -> list[dict]:
    return [
        {
            "text": f"{ANIMALS[i % 10]} {PLACES[i // 10 % 10]} {i * 7919}",
            "label": "ab"[i % 2],
        }
        for i in range(n)
    ]


def source(folder: Path, found: list[dict], name: str = "source.jsonl") -> Path:
    (folder / name).write_bytes(as_lines(found))
    return folder / name


def texts(path: Path) -> set[str]:
    return {e.text for e in load_dataset(path).examples}


def test_the_splits_are_disjoint_and_stratified(tmp_path):
    card = prepare(source(tmp_path, found_rows()), tmp_path / "out")
    sizes = {name: split["rows"] for name, split in card["splits"].items()}
    assert sizes == {"train": 80, "dev": 10, "test": 10}
    assert card["splits"]["test"]["labels"] == {"a": 5, "b": 5}
    parts = [texts(tmp_path / "out" / f"{name}.jsonl") for name in sizes]
    assert len(set.union(*parts)) == sum(map(len, parts)) == 100
    assert json.loads((tmp_path / "out" / "card.json").read_text())["splits"] == card["splits"]
    assert "| train | 80 |" in (tmp_path / "out" / "DATA_CARD.md").read_text()


@pytest.mark.slow
def test_the_same_bytes_from_another_process(tmp_path):
    path = source(tmp_path, found_rows(60))
    prepare(path, tmp_path / "one")
    code = (
        "import sys, pathlib; from finetune_lora.data.prepare import prepare;"
        "prepare(sys.argv[1], pathlib.Path(sys.argv[2]))"
    )
    environment = os.environ | {"PYTHONHASHSEED": "123"}
    command = [sys.executable, "-c", code, str(path), str(tmp_path / "two")]
    subprocess.run(command, check=True, env=environment)
    names = sorted(p.name for p in (tmp_path / "one").iterdir())
    assert "train.jsonl" in names
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_another_seed_splits_otherwise(tmp_path):
    path = source(tmp_path, found_rows())
    for seed in (0, 1):
        prepare(path, tmp_path / str(seed), seed=seed)
    assert texts(tmp_path / "0" / "test.jsonl") != texts(tmp_path / "1" / "test.jsonl")


def test_duplicates_conflicts_and_near_duplicates_are_counted(tmp_path):
    near = "the printer on the second floor prints only blank pages since this morning"
    found = [
        *found_rows(40),
        {"text": "Lost my  BADGE", "label": "a"},
        {"text": "lost my badge", "label": "a"},
        {"text": "cafe\u0301 closed", "label": "a"},
        {"text": "caf\u00e9 closed", "label": "b"},
        {"text": near, "label": "a"},
        {"text": near + "!", "label": "a"},
        {"text": near + "?", "label": "b"},
    ]
    card = prepare(source(tmp_path, found), tmp_path / "out")
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
    pairs = [p for p in (tmp_path / "out").glob("*.jsonl") if near in texts(p)]
    assert len(pairs) == 1
    assert near + "?" in texts(pairs[0])


def test_conversations_keep_several_answers_of_a_question_together():
    asked = {"role": "user", "content": "Tell me a joke"}
    examples = [Example((asked, {"role": "assistant", "content": c}), None, {}, 1) for c in "xyx"]
    exact = without_duplicates(examples)
    assert [e.answer for e in exact.remaining] == ["x", "y"]
    assert (exact.duplicates, exact.conflicts, exact.ambiguous) == (1, [], 1)
    assert len(set(cluster(exact.remaining).groups)) == 1


def test_another_instruction_is_another_task():
    question = {"role": "user", "content": "The weather is fine today"}
    answer = {"role": "assistant", "content": "ok"}
    examples = [
        Example(({"role": "system", "content": s}, question, answer)) for s in ("French", "German")
    ]
    clusters = cluster(without_duplicates(examples).remaining)
    assert (len(clusters.remaining), clusters.near_duplicates) == (2, 0)
    assert clusters.groups == [0, 0]


def test_what_given_splits_ask_leaves_train(tmp_path):
    found = found_rows(60)
    test = [found[0], {**found[1], "text": found[1]["text"].upper() + "!"}]
    dev = [found[0], found[2]]
    card = prepare(
        source(tmp_path, found),
        tmp_path / "out",
        dev_data=source(tmp_path, dev, "dev.jsonl"),
        test_data=source(tmp_path, test, "test.jsonl"),
    )
    sizes = {name: split["rows"] for name, split in card["splits"].items()}
    assert sizes == {"train": 57, "dev": 1, "test": 2}
    assert card["removed"]["leaks"] == 4
    assert not {r["text"] for r in found[:3]} & texts(tmp_path / "out" / "train.jsonl")


def test_a_given_test_set_with_a_label_that_train_does_not_have(tmp_path):
    other = source(tmp_path, [{"text": "x", "label": "c"}], "test.jsonl")
    with pytest.raises(BadInput, match=r"test\.jsonl:1: Unknown label 'c'"):
        prepare(source(tmp_path, found_rows()), tmp_path / "out", test_data=other)


def test_bad_rows_are_reported_where_asked_for(tmp_path):
    path = source(tmp_path, found_rows(50))
    path.write_bytes(path.read_bytes() + b"{\n" * 7)
    with pytest.raises(BadInput, match=r"source\.jsonl:51: 7 rows are invalid\. Line 51: "):
        prepare(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    card = prepare(path, tmp_path / "out", skip_bad=True)
    assert card["rejected"]["rows"] == 7
    assert [bad["line"] for bad in card["rejected"]["first"]] == [51, 52, 53, 54, 55]
    assert len((tmp_path / "out" / "rejected.jsonl").read_text().splitlines()) == 7
    prepare(source(tmp_path, found_rows(50)), tmp_path / "out", dev=0)
    assert not (tmp_path / "out" / "rejected.jsonl").exists()
    assert not (tmp_path / "out" / "dev.jsonl").exists()


def test_the_card_counts_personal_data_and_does_not_show_it(tmp_path):
    found = [*found_rows(), {"text": "write to anna.schmidt@example.com please", "label": "a"}]
    card = prepare(source(tmp_path, found), tmp_path / "out")
    assert card["pii"] == {"email": {"found": 1, "rows": 1}}
    for name in ("card.json", "DATA_CARD.md"):
        written = (tmp_path / "out" / name).read_text()
        assert "email" in written and "anna" not in written


def test_card_does_not_publish_folders(tmp_path):
    path = source(tmp_path, found_rows())
    card = prepare(path, tmp_path / "out", base=tiny_base(tmp_path / "base"))
    page = as_markdown(card).decode()
    assert f"- Source: `{path.name}`" in page and "`path:base`" in page
    assert str(tmp_path) not in page


def test_tokens_are_those_of_the_base(tmp_path):
    base = tiny_base(tmp_path / "base")
    path = source(tmp_path, found_rows(40))
    card = prepare(path, tmp_path / "out", base=base, max_tokens=5)
    assert card["tokens"] == {"base": base, "max_tokens": 5, "truncated": 40}
    tokens = card["splits"]["train"]["tokens"]
    assert 5 < tokens["min"] <= tokens["p50"] <= tokens["p95"] <= tokens["max"]
    assert tokens["total"] >= 32 * tokens["min"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"dev": 0.5, "test": 0.5}, "leave no rows"),
        ({"dev": -1}, "--dev: -1"),
        ({"max_tokens": 0}, "--max-tokens: 0"),
    ],
)
def test_wrong_options(tmp_path, options, expected):
    with pytest.raises(BadInput, match=expected):
        prepare(source(tmp_path, found_rows(10)), tmp_path / "out", **options)


def test_one_row_can_not_be_split(tmp_path):
    path = source(tmp_path, found_rows(1))
    with pytest.raises(BadInput, match="cannot be split into train, dev, test") as caught:
        prepare(path, tmp_path / "out")
    assert "--dev 0 --test 0" in str(caught.value)
    assert prepare(path, tmp_path / "out", dev=0, test=0)["splits"]["train"]["rows"] == 1


def test_nothing_left(tmp_path):
    found = [{"text": "same", "label": "a"}, {"text": "same", "label": "b"}]
    with pytest.raises(BadInput, match="labels in conflict 2"):
        prepare(source(tmp_path, found), tmp_path / "out")


def test_a_source_is_never_overwritten(tmp_path):
    path = source(tmp_path, found_rows(10), "train.jsonl")
    before = path.read_bytes()
    with pytest.raises(BadInput, match="would be overwritten"):
        prepare(path, tmp_path)
    assert path.read_bytes() == before


@given(
    groups=st.lists(st.integers(0, 30), min_size=40, max_size=120),
    seed=st.integers(0, 5),
    dev=st.sampled_from([0.0, 0.1, 0.3]),
)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_no_group_is_parted_and_every_label_stays_in_train(groups, seed, dev):
    groups = [*range(10), *groups]
    labels = ["xyz"[group % 3] for group in groups]
    names = assign(groups, labels, {"dev": dev, "test": 0.2}, seed)
    assert names == assign(groups, labels, {"dev": dev, "test": 0.2}, seed)
    sides = {(group, name) for group, name in zip(groups, names, strict=True)}
    assert len(sides) == len(set(groups))
    assert {"train", "test"} <= set(names) <= {"train", "dev", "test"}
    assert {lab for lab, name in zip(labels, names, strict=True) if name == "train"} == set(labels)


@given(st.lists(st.text("abc D.", min_size=1, max_size=12), max_size=25))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_what_is_kept_has_no_copy_and_leaks_nothing(found):
    examples = [labelled(text + "q", "x", line) for line, text in enumerate(found, 1)]
    kept = without_duplicates(examples).remaining
    keys = [" ".join(e.text.casefold().split()) for e in kept]
    assert len(set(keys)) == len(keys)
    half = len(kept) // 2
    clean, leaks = without_leaks(examples, kept[:half])
    assert len(clean) + leaks == len(examples)
    held = set(keys[:half])
    assert not any(" ".join(e.text.casefold().split()) in held for e in clean)


COPIES = [
    f"refund needed, item {4000 + 7 * n} arrived broken{ending}"
    for n in range(20)
    for ending in ("", " today", " since monday", " again, please help")
]


def test_copies_that_differ_in_a_number_or_in_case_stay_on_one_side(tmp_path):
    labels = ("refund", "complaint")
    found = [{"text": text, "label": labels[i % 2]} for i, text in enumerate(COPIES)]
    found += [{"text": text.upper(), "label": labels[i % 2]} for i, text in enumerate(COPIES)]
    card = prepare(source(tmp_path, [*found, *found_rows(40)]), tmp_path / "out")
    sides: dict[str, set[str]] = {}
    for name in card["splits"]:
        for text in texts(tmp_path / "out" / f"{name}.jsonl"):
            sides.setdefault(re.sub(r"\d+", "0", text.lower()), set()).add(name)
    assert {form: names for form, names in sides.items() if len(names) > 1} == {}
    assert card["removed"]["near_duplicates"] + card["removed"]["duplicates"] > 100


def test_duplicates_of_a_given_test_set_are_removed_and_reported(tmp_path):
    test = source(tmp_path, [{"text": "ITEM 12 is late!", "label": "a"}], "test.jsonl")
    found = [*found_rows(40), {"text": "item 99 is late", "label": "a"}]
    card = prepare(source(tmp_path, found), tmp_path / "out", test_data=test)
    assert card["removed"]["leaks"] == 1
    assert any("1 rows also occur in the given dev or test data" in w for w in card["warnings"])


def test_imbalance_is_shown(tmp_path):
    found = [{**row, "label": "common"} for row in found_rows(80)]
    found += [{"text": f"{a} {p}", "label": "rare"} for a, p in zip(ANIMALS, PLACES, strict=True)]
    card = prepare(source(tmp_path, found), tmp_path / "out")
    (warning,) = [w for w in card["warnings"] if "imbalanced" in w]
    assert "89% of the training rows are 'common'" in warning
    card_text = (tmp_path / "out" / "DATA_CARD.md").read_text()
    assert re.search(r"\| common \| \d+ \| \d+ \| \d+ \| 89% \|", card_text)


def test_folder_with_other_files_is_refused(tmp_path):
    path = source(tmp_path, found_rows(10))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(BadInput, match=r"contains other files, e\.g\. notes\.txt"):
        prepare(path, tmp_path / "out")
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"


def test_file_that_prepare_did_not_write_is_never_replaced(tmp_path):
    path, out = source(tmp_path, found_rows(10)), tmp_path / "out"
    out.mkdir()
    (out / "test.jsonl").write_text("labelled by hand")
    with pytest.raises(BadInput, match=r"contains other files, e\.g\. test\.jsonl"):
        prepare(path, out)
    (out / "test.jsonl").unlink()
    prepare(path, out)
    prepare(path, out)  # its own files are replaced
    (out / "test.jsonl").write_text("labelled by hand")
    with pytest.raises(BadInput, match=r"contains other files, e\.g\. test\.jsonl"):
        prepare(path, out)
    assert (out / "test.jsonl").read_text() == "labelled by hand"
