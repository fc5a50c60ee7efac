"""Every format becomes the same examples; everything wrong is one line with its place."""

import gzip
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pyarrow
import pyarrow.parquet
import pytest
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from finetune_fakes import tiny_base

from finetune_lora.data.hub import read_hub
from finetune_lora.data.read import as_lines, assemble, load_dataset, to_rows, training_data
from finetune_lora.train.arguments import TrainArgs
from finetune_lora.train.job import facts, prepare
from seedbed.errors import BadInput, NotFound, SeedbedError, Unavailable
from seedbed.testing.launch import serve_app

CHAT = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
LABELLED = {"text": "good", "label": "pos"}


def put(folder: Path, content: str | bytes, name: str = "data.jsonl") -> Path:
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder / name


def refused(path: Path, **options) -> str:
    with pytest.raises(SeedbedError) as caught:
        load_dataset(path, **options)
    assert caught.value.status < 500
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [{"role": "system", "content": ""}, *CHAT]},
        {"prompt": "Hi", "completion": "Hello"},
        {"prompt": CHAT[:1], "completion": CHAT[1:], "id": 7},
        {"messages": CHAT, "rating": "up", "score": None, "response_id": "r", "prompt": "p@1"},
        {"messages": CHAT, "rating": None, "score": 0.9, "response_id": "r", "prompt": None},
    ],
)
def test_all_chat_formats_are_the_same_example(tmp_path, row):
    dataset = load_dataset(put(tmp_path, json.dumps(row)))
    assert list(dataset.examples[0].messages) == CHAT
    assert not dataset.is_classification


def test_answers_rated_down_are_not_learned(tmp_path):
    row = {"messages": CHAT, "score": None, "response_id": "r"}
    found = [row | {"rating": "up"}, row | {"rating": "down"}, row | {"rating": None, "score": 0.2}]
    found.append(row | {"rating": "down", "correction": CHAT[1]["content"]})
    assert len(load_dataset(put(tmp_path, as_lines(found)))) == 2
    assert "none of its 2 answers was rated up" in refused(put(tmp_path, as_lines(found[1:3])))


def test_text_and_label_get_the_instruction_with_all_labels(tmp_path):
    found = [{"text": "a", "label": 3}, {"text": "b", "label": True}, {"text": "c", "label": 2.0}]
    dataset = load_dataset(put(tmp_path, as_lines(found)))
    assert dataset.labels == ("2", "3", "true")
    system, user, answer = dataset.examples[0].messages
    assert "2, 3, true" in system["content"]
    assert (user["content"], answer["content"], dataset.examples[0].label) == ("a", "3", "3")


def test_a_label_that_training_did_not_have(tmp_path):
    path = put(tmp_path, json.dumps(LABELLED))
    problem = refused(path, labels=["a", "b"])
    assert "data.jsonl:1: Unknown label 'pos'. The training data has 2 labels: a, b" in problem
    dataset = load_dataset(path, labels=["b", "a"], allow_unseen=True)
    assert (dataset.labels, dataset.examples[0].label) == (("a", "b"), "pos")


def test_all_file_types_read_alike(tmp_path):
    found = [{"text": "a,\nb", "label": "x"}, {"text": "c", "label": "y"}]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(found), tmp_path / "d.parquet")
    paths = [
        put(tmp_path, as_lines(found)),
        put(tmp_path, b'\xef\xbb\xbftext,label\r\n"a,\nb",x\r\n\r\nc,y\r\n', "d.csv"),
        put(tmp_path, 'text;label\n"a,\nb";x\nc;y\n', "semicolon.csv"),
        put(tmp_path, json.dumps(found, indent=1), "d.json"),
        tmp_path / "d.parquet",
    ]
    answers = [[(e.text, e.label) for e in load_dataset(path).examples] for path in paths]
    assert answers == [[("a,\nb", "x"), ("c", "y")]] * len(paths)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_tables_of_any_separator_and_encoding(tmp_path, separator, encoding):
    text = separator.join(["Text", "LABEL"]) + "\r\n" + separator.join(["größer", "x"]) + "\r\n"
    mark = "\ufeff" if encoding == "utf-16-le" else ""  # as Excel writes "Unicode text"
    path = put(tmp_path, (mark + text).encode(encoding), "d.csv")
    (example,) = load_dataset(path).examples
    assert (example.text, example.label) == ("größer", "x")


def test_columns_are_renamed(tmp_path):
    rows = [{"description": "good", "section": "pos", "text": 7, "label": None}]
    path = put(tmp_path, as_lines(rows))
    (example,) = load_dataset(path, columns="text=description, label=section").examples
    assert (example.text, example.label) == ("good", "pos")
    assert "Unknown column 'descr' in --columns" in refused(path, columns="text=descr")
    assert "Invalid --columns 'subject=x'" in refused(path, columns="subject=x")


def test_all_bad_rows_are_listed(tmp_path):
    bad = [{"text": "", "label": "a"}, {"text": "b", "label": None}, {"text": "c", "label": ["x"]}]
    lines = as_lines([LABELLED, *bad]) + b'{"text": "a", "text": "b", "label": "x"}\n'
    problem = refused(put(tmp_path, lines))
    assert "data.jsonl:2: 4 rows are invalid. Line 2: 'text' is empty" in problem
    assert "Line 3: 'label' is missing" in problem
    assert "Line 4: 'label' is ['x'], not text" in problem
    assert "Line 5: The key 'text' is repeated" in problem
    assert "--skip-bad" in problem


def test_blank_lines_are_skipped_and_counted(tmp_path):
    text = json.dumps({"messages": CHAT})
    path = put(tmp_path, f"\ufeff{text}\r\n\r\n  \n{text}")
    assert [e.line for e in load_dataset(path).examples] == [1, 4]


@pytest.mark.parametrize("row", [LABELLED | {"tags": {"noise": "typos"}}, {"messages": CHAT}])
def test_written_dataset_is_read_back(tmp_path, row):
    dataset = load_dataset(put(tmp_path, json.dumps(row)))
    assert load_dataset(put(tmp_path, as_lines(to_rows(dataset)))).examples == dataset.examples


def test_unchanged_file_is_parsed_once(tmp_path):
    path = put(tmp_path, json.dumps(LABELLED))
    dataset = load_dataset(path)
    assert load_dataset(path) is dataset
    put(tmp_path, json.dumps(LABELLED | {"label": "neg"}))
    assert load_dataset(path).labels == ("neg",)


def test_training_data_is_read_again_with_its_columns(tmp_path):
    rows = "".join(f"request {n},kind {n % 2}\n" for n in range(8))
    path = put(tmp_path, f"description,section\n{rows}", "d.csv")
    args = TrainArgs(str(path), "run", columns="text=description,label=section")
    task = facts(prepare(replace(args, base=tiny_base(tmp_path / "base"))))
    assert training_data(task).labels == ("kind 0", "kind 1")
    put(tmp_path, f"description,section\n{rows[1:]}", "d.csv")
    assert training_data(task) is None


@pytest.mark.parametrize(
    ("content", "name", "expected"),
    [
        ('{"question": "a"}', "d.jsonl", "d.jsonl:1: The columns 'question' match no known format"),
        (as_lines([LABELLED, {"messages": CHAT}]), "d.jsonl", "'chat', but earlier rows have 'lab"),
        ('{"text": "\\ud83d", "label": "a"}', "d.jsonl", "not valid UTF-8"),
        (b'{"text": "\xff", "label": "a"}', "d.jsonl", "d.jsonl:1: 'text' is not valid UTF-8"),
        (b'{"text": "a", "label": "b", "tags": {"c": "\xff"}}', "d.jsonl", "'tags' is not valid"),
        ('{"text": "a', "d.jsonl", "d.jsonl:1: Invalid JSON: Unterminated string starting at col"),
        ('[\n{"text"]', "d.json", "d.json: Invalid JSON: Expecting ':' delimiter at line 2, col"),
        ("[" * 100_000, "d.json", "d.json: The JSON is nested too deeply"),
        ('text,label\n"a\nb",x\nc,NaN\n', "d.csv", "d.csv:4: 'label' is missing"),
        ("text,label\na,b,c\n", "d.csv", "d.csv:2: The row has 3 cells, but the header has 2"),
        ('text,label\n"a,b\n', "d.csv", "d.csv:2: Invalid CSV"),
        (b"\xff\xfea", "d.csv", "d.csv is not valid UTF-16"),
        ("no parquet", "d.parquet", "not a Parquet file"),
        ("text,label\n", "d.csv", "d.csv is empty"),
        (gzip.compress(b"{}", mtime=0), "d.jsonl.gz", "Supported: .jsonl"),
    ],
)
def test_wrong_content(tmp_path, content, name, expected):
    assert expected in refused(put(tmp_path, content, name))
    assert "is a folder" in refused(tmp_path)
    assert "File not found" in refused(tmp_path / "none.jsonl")


def test_wrong_conversations(tmp_path):
    for messages, expected in (
        ("Hi", "not a list of messages"),
        (["Hi"], "messages[0] is 'Hi', not an object"),
        (CHAT[:1], "from 'user', not from the assistant"),
        (CHAT[1:], "contains only the answer"),
        ([{"role": ["user"], "content": "a"}, CHAT[1]], "has the unknown role ['user']"),
        ([CHAT[0], {"role": "assistant", "content": None}], "'messages[1].content' is missing"),
    ):
        assert expected in refused(put(tmp_path, json.dumps({"messages": messages})))


class HubTable(list):
    """As `datasets` loads it, with classes for labels."""

    @property
    def features(self):
        return {"label": SimpleNamespace(names=["neg", "pos"], int2str=str)}


@pytest.fixture
def hub(monkeypatch):
    """A hub on loopback with one dataset; tests cannot reach the real one."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    app = FastAPI()

    @app.get("/api/datasets/{path:path}")
    def info(path: str) -> JSONResponse:
        if path == "org/known":
            return JSONResponse({"id": path, "sha": "c0ffee", "cardData": {"license": "mit"}})
        return JSONResponse({"error": "not found"}, 404, {"X-Error-Code": "RepoNotFound"})

    with serve_app(app) as url:
        yield url


def test_hub_dataset_is_pinned_and_its_classes_have_names(hub):
    calls = []

    def load(*args, **options):
        calls.append((args, options))
        return HubTable({"text": "a", "label": label} for label in (1, -1, None))

    rows, revision, licence = read_hub("hf:org/known", endpoint=hub, load=load)
    assert (revision, licence) == ("c0ffee", "mit")
    assert calls == [(("org/known", None), {"revision": "c0ffee", "split": "train"})]
    dataset = assemble("hf:org/known", rows)
    assert [e.label for e in dataset.examples] == ["pos"]
    assert [line for line, _ in dataset.rejected] == [2, 3]


def test_hub_datasets_that_cannot_be_read(hub):
    with pytest.raises(NotFound, match="hf:org/unknown@main does not exist"):
        read_hub("hf:org/unknown@main", endpoint=hub, load=HubTable)
    with pytest.raises(Unavailable, match="cannot connect to the Hugging Face Hub"):
        read_hub("hf:org/any", endpoint="http://127.0.0.1:9", load=HubTable)
    with pytest.raises(BadInput, match="hf:ORG/NAME@REVISION"):
        read_hub("hf:a b")
