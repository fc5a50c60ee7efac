"""The command line, as its users type it."""

import json
from pathlib import Path

import numpy as np
import pytest

from vision_app.__main__ import main
from vision_app.config import Config
from vision_app.demo import check
from vision_app.files.pixels import encode_png
from vision_app.vision import Vision
from seedbed.settings import Settings, load


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VISION_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as done:
        main(list(arguments))
    return int(done.value.code or 0)


def gray(folder: Path, name: str = "gray.png") -> Path:
    path = folder / name
    path.write_bytes(encode_png(np.full((40, 60, 3), 128, np.uint8)))
    return path


def test_classify_prints_one_object_per_file_and_exits_2_for_a_bad_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_text("not a picture")
    status = run("classify", str(gray(tmp_path)), str(bad), "--json", "-k", "2")
    output = capsys.readouterr()
    first, second = map(json.loads, output.out.splitlines())
    assert status == 2
    assert set(first) == {"file", "labels", "sure"}
    assert [set(label) for label in first["labels"]] == [{"label", "confidence"}] * 2
    assert second["file"] == str(bad)
    assert "bad.jpg" in second["error"]
    assert f"error: {second['error']}" in output.err


def test_extract_refuses_unknown_schema_before_the_first_file(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("extract", "missing.png", "--schema", "poem") == 2
    error = "error: Unknown schema 'poem'. Available: invoice, receipt"
    assert capsys.readouterr().err.startswith(error)


def test_folders_and_patterns_name_files_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.png", "b.png"):
        gray(tmp_path, name)
    (tmp_path / ".hidden.png").write_bytes(b"")
    assert run("classify", str(tmp_path / "*.png"), str(tmp_path)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and "a.png: not sure (" in lines[0]
    (tmp_path / "empty").mkdir()
    assert run("classify", str(tmp_path / "empty")) == 2
    assert capsys.readouterr().err.endswith("empty contains no images. Name another folder.\n")


def test_index_then_search_finds_the_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = gray(tmp_path)
    assert run("index", str(picture), "--json") == 0
    assert json.loads(capsys.readouterr().out)["added"] == 1
    assert run("search", str(picture), "--image", "--json") == 0
    assert json.loads(capsys.readouterr().out)[0]["file"].endswith("gray.png")


@pytest.mark.parametrize("out", ["shapes", "Documents", "thesis.txt", "."])
def test_train_replaces_only_a_trained_classifier(
    out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for label in ("dark", "light"):
        (tmp_path / "shapes" / label).mkdir(parents=True)
        gray(tmp_path / "shapes" / label)
    (tmp_path / "Documents").mkdir()
    for file in ("thesis.txt", "Documents/thesis.txt", "Documents/head.json"):
        (tmp_path / file).write_text("mine")
    before = set(tmp_path.rglob("*"))
    assert run("train", "shapes", "--out", out) == 2
    assert "is not a classifier that vision-app trained" in capsys.readouterr().err
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.slow
def test_demo_results_are_right() -> None:
    vision = Vision(load(Config), load(Settings))
    assert [problem for _, problem in check(vision) if problem] == []
