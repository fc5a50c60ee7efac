"""Every format becomes the same examples; everything wrong is one line with its place."""

import gzip
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from finetune_fakes import tiny_base

from finetune_lora.data.hub import read_hub
from finetune_lora.data.read import as_lines, assemble, load_dataset, rows, training_data
from finetune_lora.train.arguments import TrainArgs
from finetune_lora.train.job import prepare, task_of
from seedbed.errors import BadInput, NotFound, SeedbedError, Unavailable

CHAT = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
LABELLED = {"text": "good", "label": "pos"}


def put(folder: Path, content: str | bytes, name: str = "data.jsonl") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refused(path: Path, **options) -> str:
    with pytest.raises(SeedbedError) as caught:
        load_dataset(path, **options)
    assert caught.value.status < 500
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "row",
    [
        {"messages": CHAT},
        {"messages": [{"role": "system", "content": ""}, *CHAT]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}, CHAT[1]]},
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


def test_text_and_label_get_the_instruction_with_all_labels(tmp_path):
    path = put(tmp_path, as_lines([LABELLED, {"text": "bad", "label": "neg"}]))
    dataset = load_dataset(path)
    assert dataset.labels == ("neg", "pos")
    system, user, answer = dataset.examples[0].messages
    assert "neg, pos" in system["content"]
    assert (user["content"], answer["content"], dataset.examples[0].label) == ("good", "pos", "pos")


def test_labels_of_numbers_become_text(tmp_path):
    found = [{"text": "a", "label": 3}, {"text": "b", "label": True}, {"text": "c", "label": 2.0}]
    assert load_dataset(put(tmp_path, as_lines(found))).labels == ("2", "3", "true")


def test_a_label_that_training_did_not_have(tmp_path):
    path = put(tmp_path, json.dumps(LABELLED))
    assert "data.jsonl:1: Unknown label 'pos'. The training data has 2" in refused(
        path, labels=["a", "b"]
    )
    dataset = load_dataset(path, labels=["b", "a"], allow_unseen=True)
    assert dataset.labels == ("a", "b")
    assert dataset.examples[0].label == "pos"


def test_csv_array_and_parquet_read_as_jsonl_does(tmp_path):
    import pyarrow
    import pyarrow.parquet

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


def test_parquet_holds_conversations(tmp_path):
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.Table.from_pylist([{"messages": CHAT, "tags": {"kind": "a"}}])
    pyarrow.parquet.write_table(table, tmp_path / "d.parquet")
    example = load_dataset(tmp_path / "d.parquet").examples[0]
    assert (list(example.messages), example.tags) == (CHAT, {"kind": "a"})


def test_sharegpt_is_read_with_a_renamed_column(tmp_path):
    turns = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]
    path = put(tmp_path, json.dumps({"conversations": turns}))
    dataset = load_dataset(path, columns="messages=conversations")
    assert list(dataset.examples[0].messages) == CHAT


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_tables_of_any_separator_and_encoding(tmp_path, separator, encoding):
    text = separator.join(["Text", "LABEL"]) + "\r\n" + separator.join(["größer", "x"]) + "\r\n"
    mark = "\ufeff" if encoding == "utf-16-le" else ""  # as Excel writes "Unicode text"
    path = put(tmp_path, (mark + text).encode(encoding), "d.csv")
    (example,) = load_dataset(path).examples
    assert (example.text, example.label) == ("größer", "x")


def test_columns_are_renamed(tmp_path):
    rows_ = [{"description": "good", "section": "pos", "text": 7, "label": None}]
    path = put(tmp_path, as_lines(rows_))
    (example,) = load_dataset(path, columns="text=description, label=section").examples
    assert (example.text, example.label) == ("good", "pos")
    assert "Unknown column 'descr' in --columns" in refused(path, columns="text=descr")
    assert "Invalid --columns 'subject=x'" in refused(path, columns="subject=x")


def test_all_bad_rows_are_listed(tmp_path):
    bad = [{"text": "", "label": "a"}, {"text": "b", "label": None}, {"text": "c", "label": ["x"]}]
    said = refused(put(tmp_path, as_lines([LABELLED, *bad])))
    assert "data.jsonl:2: 3 rows are invalid. Line 2: 'text' is empty" in said
    assert "Line 3: 'label' is missing" in said
    assert "Line 4: The row has a list of labels: ['x']" in said
    assert "--skip-bad" in said


def test_blank_lines_are_skipped_and_counted(tmp_path):
    text = json.dumps({"messages": CHAT})
    path = put(tmp_path, f"\ufeff{text}\r\n\r\n  \n{text}\u2028".rstrip("\u2028"))
    assert [e.line for e in load_dataset(path).examples] == [1, 4]


@pytest.mark.parametrize("row", [LABELLED | {"tags": {"noise": "typos"}}, {"messages": CHAT}])
def test_rows_write_what_is_read_back(tmp_path, row):
    dataset = load_dataset(put(tmp_path, json.dumps(row)))
    again = load_dataset(put(tmp_path, as_lines(rows(dataset)), "again.jsonl"))
    assert again.examples == dataset.examples


@pytest.mark.parametrize("name", ["d.jsonl", "d.csv", "d.json", "d.parquet"])
def test_empty_files(tmp_path, name):
    assert name in refused(put(tmp_path, "", name))


def test_wrong_columns_names_those_found_and_those_accepted(tmp_path):
    said = refused(put(tmp_path, '{"question": "a", "reply": "b"}'))
    assert "data.jsonl:1: The columns 'question', 'reply' match no known format" in said
    assert "text, label" in said


def test_training_data_is_read_again_with_its_columns(tmp_path):
    rows = "".join(f"request {n},kind {n % 2}\n" for n in range(8))
    path = put(tmp_path, f"description,section\n{rows}", "d.csv")
    args = TrainArgs(str(path), "run", columns="text=description,label=section")
    job = prepare(replace(args, base=tiny_base(tmp_path / "base")))
    assert training_data(task_of(job)).labels == ("kind 0", "kind 1")


def test_formats_do_not_mix(tmp_path):
    said = refused(put(tmp_path, as_lines([LABELLED, {"messages": CHAT}])))
    assert "data.jsonl:2: The row has the format 'chat', but earlier rows have 'labelled'" in said


@pytest.mark.parametrize(
    ("content", "name", "expected"),
    [
        ('{"text": "a", "label": NaN}', "d.jsonl", "d.jsonl:1: 'label' is missing"),
        ('{"text": 5, "label": "a"}', "d.jsonl", "d.jsonl:1: 'text' is 5, not text"),
        ('{"text": " ", "label": "a"}', "d.jsonl", "d.jsonl:1: 'text' is empty"),
        ('{"text": "a", "label": "\\n"}', "d.jsonl", "d.jsonl:1: 'label' is empty"),
        ('{"text": "\\ud83d", "label": "a"}', "d.jsonl", "not valid UTF-8"),
        (b'{"text": "\xff", "label": "a"}', "d.jsonl", "d.jsonl:1: Invalid UTF-8: byte 0xff"),
        (b"text,label\na,b\n\xff,x\n", "d.csv", "d.csv:3: 'text' is not valid UTF-8"),
        ('text,label\n"a\nb",x\nc,\n', "d.csv", "d.csv:4: 'label' is missing"),
        ("text,label\na,NaN\n", "d.csv", "d.csv:2: 'label' is missing"),
        ("text,label\na,b,c\n", "d.csv", "d.csv:2: The row has 3 cells, but the header has 2"),
        ('text,label\n"a,b\n', "d.csv", "Invalid CSV"),
        ("[1]", "d.json", "d.json:1: The row is a JSON int"),
        ('[\n{"text": "a", "label": "b"},\n{"text"]', "d.json", "d.json:3: Invalid JSON"),
        ('[\n{"text": "a', "d.json", "d.json:2: Invalid JSON: Unterminated string. "),
        ('{"text": "a', "d.jsonl", "Unterminated string starting at column 10"),
        ("no parquet", "d.parquet", "not a Parquet file"),
        ("[" * 100_000, "d.json", "d.json"),
        ('{"a":' * 30_000, "d.jsonl", "d.jsonl:1: "),
    ],
)
def test_wrong_content(tmp_path, content, name, expected):
    assert expected in refused(put(tmp_path, content, name))


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([], "not a list of messages"),
        ("Hi", "not a list of messages"),
        (["Hi"], "messages[0] is 'Hi', not an object"),
        (CHAT[:1], "from 'user', not from the assistant"),
        (CHAT[1:], "contains only the answer"),
        ([{"role": "robot", "content": "a"}, CHAT[1]], "messages[0] has the unknown role 'robot'"),
        ([{"role": ["user"], "content": "a"}, CHAT[1]], "has the unknown role ['user']"),
        ([CHAT[0], {"role": "assistant", "content": None}], "'messages[1].content' is missing"),
        ([{"role": "user", "content": [{"type": "image_url"}]}, CHAT[1]], "Only text"),
    ],
)
def test_wrong_conversations(tmp_path, messages, expected):
    assert expected in refused(put(tmp_path, json.dumps({"messages": messages})))


def test_answers_that_were_not_liked_are_not_learned(tmp_path):
    row = {"messages": CHAT, "score": None, "response_id": "r"}
    found = [row | {"rating": "up"}, row | {"rating": "down"}, row | {"rating": None, "score": 0.2}]
    found.append(row | {"rating": "down", "correction": CHAT[1]["content"]})
    assert len(load_dataset(put(tmp_path, as_lines(found)))) == 2
    assert "none of its 2 answers was rated up" in refused(put(tmp_path, as_lines(found[1:3])))


def test_files_that_are_not_there_or_unknown(tmp_path):
    assert "File not found" in refused(tmp_path / "none.jsonl")
    assert "is a folder" in refused(tmp_path)
    packed = put(tmp_path, gzip.compress(b"{}"), "d.jsonl.gz")
    assert "Supported: .jsonl" in refused(packed)


class FakeTable(list):
    def __init__(self, found, names):
        super().__init__(found)
        feature = SimpleNamespace(names=names, int2str=lambda n: names[n])
        self.features = {"text": SimpleNamespace(), "label": feature}


@pytest.fixture
def hub(monkeypatch):
    """A hub on loopback that knows one dataset; reached where the rest of the hub is shut out."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    import threading
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            known = self.path.startswith("/api/datasets/org/known")
            found = {"id": "org/known", "sha": "c0ffee", "cardData": {"license": "mit"}}
            self.send_response(200 if known else 404)
            if not known:
                self.send_header("X-Error-Code", "RepoNotFound")
            body = json.dumps(found if known else {"error": "not found"}).encode()
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_hub_dataset_is_pinned_and_its_classes_have_names(hub):
    asked = []

    def load(*args, **options):
        asked.append((args, options))
        return FakeTable([{"text": "a", "label": 1}, {"text": "b", "label": 0}], ["neg", "pos"])

    found = read_hub("hf:org/known", endpoint=hub, load=load)
    assert (found.revision, found.licence) == ("c0ffee", "mit")
    assert asked == [(("org/known", None), {"revision": "c0ffee", "split": "train"})]
    dataset = assemble("hf:org/known", found.rows).dataset
    assert [e.label for e in dataset.examples] == ["pos", "neg"]
    assert dataset.sha256
    unlabelled = FakeTable([{"text": "a", "label": None}, {"text": "b", "label": -1}], ["neg"])
    found = read_hub("hf:org/known", endpoint=hub, load=lambda *_, **__: unlabelled)
    assert [row.value["label"] for row in found.rows] == [None, None]


def test_a_hub_dataset_that_does_not_exist(hub):
    with pytest.raises(NotFound, match="Dataset 'org/unknown' does not exist"):
        read_hub("hf:org/unknown@main", endpoint=hub, load=FakeTable)


def test_no_network():
    with pytest.raises(Unavailable, match="cannot connect to the Hugging Face Hub") as caught:
        read_hub("hf:org/any", endpoint="http://127.0.0.1:9", load=FakeTable)
    assert "\n" not in str(caught.value)


def test_a_spec_that_names_nothing():
    with pytest.raises(BadInput, match="hf:ORG/NAME@REVISION"):
        read_hub("hf:a b")
