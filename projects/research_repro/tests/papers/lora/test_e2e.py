"""Reading the E2E data set from folders and from the hub's layout, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from research_repro.papers.lora.e2e import HUB, load_data
from seedbed.errors import BadInput, ConfigError, SeedbedError, Unavailable

OAK, INN = '"name[The Oak], food[Thai]"', '"name[The Inn], area[riverside]"'
DEV = f"mr,ref\n{OAK},The Oak is Thai.\n{INN},The Inn is by the river.\n{OAK},Thai? The Oak!\n"
TEST = f"mr,ref\n{INN},The Inn is at the riverside.\n"


def write(folder: Path, **files: str) -> str:
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text, "utf-8")
    return str(folder)


def test_references_are_grouped_by_meaning_representation(tmp_path: Path) -> None:
    data = load_data(write(tmp_path, devset=DEV, testset_w_refs=TEST))
    assert [record.references for record in data.train] == [("The Oak is Thai.", "Thai? The Oak!")]
    assert data.test[0].slots == {"name": "The Inn", "area": "riverside"}


def test_training_set_replaces_development_set(tmp_path: Path) -> None:
    train = "mr,ref\nname[The Bar],The Bar is a bar.\n"
    data = load_data(write(tmp_path, devset=DEV, testset_w_refs=TEST, trainset=train))
    assert [record.mr for record in data.train] == ["name[The Bar]"]


def test_development_set_alone_is_split_by_meaning_representation(tmp_path: Path) -> None:
    rows = "".join(f"name[Bar {i}],Bar {i} is a bar.\n" * 2 for i in range(60))
    data = load_data(write(tmp_path, devset=f"mr,ref\n{rows}"))
    assert len(data.train) + len(data.test) == 60
    assert 0 < len(data.test) < len(data.train)


def test_digest_depends_on_every_reference(tmp_path: Path) -> None:
    before = load_data(write(tmp_path, devset=DEV, testset_w_refs=TEST)).sha256
    after = load_data(write(tmp_path, devset=DEV.replace("Thai?", "Thai."))).sha256
    assert before != after


def test_generated_records_have_different_meaning_representations() -> None:
    data = load_data(None)
    assert not {record.mr for record in data.train} & {record.mr for record in data.test}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mr,text\na[b],c\n", "devset.csv, line 2: the columns are mr, text."),
        (f"mr,ref\n{OAK},\n", "line 2: no reference for 'name[The Oak], food[Thai]'."),
        (f"mr,ref\n{OAK}\n", "line 2: no reference"),
        ("mr,ref\nThe Oak,A pub.\n", "line 2: 'The Oak' contains no slots."),
        ("mr,ref\n", "dev set is empty."),
        ("", "dev set is empty."),
    ],
)
def test_wrong_file_is_reported_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        load_data(write(tmp_path, devset=text))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_file_in_other_encoding_is_reported(tmp_path: Path) -> None:
    (tmp_path / "devset.csv").write_bytes("mr,ref\nname[Café],ein Café\n".encode("latin-1"))
    with pytest.raises(BadInput, match=r"devset.csv is not a CSV file in UTF-8"):
        load_data(str(tmp_path))


def test_missing_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"nowhere does not exist\. .*trainset\.csv"):
        load_data(str(tmp_path / "nowhere"))


def test_folder_without_the_files_is_reported(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(
        BadInput, match=r"contains notes\.txt\. Expected trainset\.csv, devset\.csv"
    ):
        load_data(str(tmp_path))


def test_test_set_alone_is_not_enough(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="contains no training records"):
        load_data(write(tmp_path, testset_w_refs=TEST))


def test_hub_layout_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.chdir(tmp_path)  # `datasets` reads a local folder of the repository's name
    for split, name in (("train", "The Oak"), ("validation", "The Bar"), ("test", "The Inn")):
        row = {"meaning_representation": [f"name[{name}]"], "human_reference": [f"{name} is good."]}
        folder = tmp_path / "tuetschek/e2e_nlg/default" / split
        folder.mkdir(parents=True)
        datasets.Dataset.from_dict(row).to_parquet(folder / "0000.parquet")
    data = load_data(f"hf:{HUB}")
    assert [record.slots["name"] for record in (*data.train, *data.test)] == ["The Oak", "The Inn"]


def test_damaged_hub_data_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("datasets")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "org/e2e").mkdir(parents=True)
    (tmp_path / "org/e2e/train.parquet").write_bytes(b"PAR1")
    with pytest.raises(Unavailable, match=r"Cannot load hf:org/e2e@1a: .*RESEARCH_DATA") as caught:
        load_data("hf:org/e2e@1a")
    assert "\n" not in str(caught.value)


def test_hub_needs_revision() -> None:
    with pytest.raises(ConfigError, match=r"hf:org/e2e has no revision\. Pin a commit") as caught:
        load_data("hf:org/e2e")
    assert isinstance(caught.value, SeedbedError)
