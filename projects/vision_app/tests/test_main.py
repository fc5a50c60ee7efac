"""The command line, as its users type it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_sample_image

from vision_app.__main__ import main
from vision_app.config import Config
from vision_app.files.pixels import encode_png
from vision_app.vision import Vision
from seedbed.settings import Settings, load
from seedbed.testing.launch import run_command


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VISION_DATA_DIR", "data")


def run(*arguments: object) -> Any:
    return run_command(main, *arguments)


def gray(path: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(encode_png(np.full((40, 60, 3), 128, np.uint8)))


def test_classify_prints_one_object_per_file_and_exits_2_for_a_bad_one() -> None:
    gray("gray.png")
    Path("bad.jpg").write_text("not a picture")
    output = run("classify", "gray.png", "bad.jpg", "--json", "-k", "2")
    first, second = map(json.loads, output.out.splitlines())
    assert output.status == 2 and set(first) == {"file", "labels", "sure"}
    assert [set(label) for label in first["labels"]] == [{"label", "confidence"}] * 2
    assert second["file"] == "bad.jpg" and f"error: {second['error']}" in output.err


def test_extract_refuses_unknown_schema_before_the_first_file() -> None:
    output = run("extract", "missing.png", "--schema", "poem")
    error = "error: Unknown schema 'poem'. Available: invoice, receipt"
    assert output.status == 2 and output.err.startswith(error)


def test_folders_and_patterns_name_files_once() -> None:
    for name in ("a.png", "b.png", ".hidden.png"):
        gray(f"scans/{name}")
    output = run("classify", "scans/*.png", "scans")
    lines = output.out.splitlines()
    assert output.status == 0 and len(lines) == 2 and "a.png: not sure (" in lines[0]
    Path("empty").mkdir()
    assert run("classify", "empty").err == "error: empty contains no images. Name another folder.\n"


def test_index_then_search_finds_the_picture() -> None:
    gray("gray.png")
    assert run("index", "gray.png", "--json").json["added"] == 1
    assert list(Path("data").glob("images-*.npz"))
    assert run("search", "gray.png", "--image", "--json").json[0]["file"].endswith("gray.png")


def test_label_is_sure_from_the_confidence_of_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("pagoda.png").write_bytes(encode_png(load_sample_image("china.jpg")))
    assert "not sure" in run("classify", "pagoda.png").out
    monkeypatch.setenv("VISION_MIN_CONFIDENCE", "0.1")
    assert "not sure" not in run("classify", "pagoda.png").out


@pytest.mark.parametrize("out", ["shapes", "Documents", "thesis.txt", "."])
def test_train_replaces_only_a_trained_classifier(out: str, tmp_path: Path) -> None:
    for label in ("dark", "light"):
        gray(f"shapes/{label}/gray.png")
    Path("Documents").mkdir()
    for file in ("thesis.txt", "Documents/thesis.txt", "Documents/report.json"):
        Path(file).write_text("mine")
    before = set(tmp_path.rglob("*"))
    output = run("train", "shapes", "--out", out)
    assert output.status == 2
    assert "is not a classifier that vision-app trained" in output.err
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.slow
def test_demo_results_are_right() -> None:
    check = pytest.importorskip("vision_app.demo").check  # which may be deleted
    vision = Vision(load(Config), load(Settings))
    assert [problem for _, problem in check(vision) if problem] == []
