"""The image index: what is added, what is left out, and what is found."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import chromadb
import numpy as np
import pytest
from PIL import Image

from vision_app.search.index import Hit, ImageIndex
from seedbed.errors import BadInput, Unavailable


def names(hits: list[Hit]) -> list[str]:
    return [Path(hit.path).name for hit in hits]


def collection(index: ImageIndex, prefix: str) -> chromadb.Collection:
    settings = chromadb.Settings(anonymized_telemetry=False)
    client = chromadb.PersistentClient(index.config.data_dir / "chroma", settings=settings)
    [match] = [item for item in client.list_collections() if item.name.startswith(prefix)]
    return match


def test_image_search_ranks_the_same_picture_first(index: ImageIndex, folder: Path) -> None:
    index.add([folder])
    for name in ("picture0.png", "picture1.png", "picture2.png"):
        pixels = np.asarray(Image.open(folder / name))
        hits = index.search_image(pixels, 2)
        assert names(hits)[0] == name
        assert hits[0].score == pytest.approx(1, abs=1e-3)
        assert hits[1].score < 0.95


def test_text_search_matches_labels_of_the_classifier(index: ImageIndex, folder: Path) -> None:
    index.add([folder])
    [hit] = index.search_text("something green", 1)
    assert names([hit]) == ["picture1.png"]
    assert hit.labels[0] == "green"


def test_text_search_finds_text_in_an_image_and_quotes_it(
    index: ImageIndex, folder: Path, reader: Any
) -> None:
    pixels = np.asarray(Image.open(folder / "picture2.png"))
    reader.texts[tuple(pixels[0, 0].tolist())] = "Acme Ltd\nInvoice INV-0815\nTotal 65.43"
    index.add([folder])
    [hit] = index.search_text("invoice inv-0815", 1)
    assert names([hit]) == ["picture2.png"]
    assert hit.excerpt == "Invoice INV-0815 Total 65.43"
    assert hit.score > 0.9


def test_text_search_tolerates_an_ocr_error(index: ImageIndex, folder: Path, reader: Any) -> None:
    pixels = np.asarray(Image.open(folder / "picture0.png"))
    reader.texts[tuple(pixels[0, 0].tolist())] = "Quarterly restaurantt receipt"
    index.add([folder])
    hits = index.search_text("restaurant receipts", 3)
    assert names(hits)[0] == "picture0.png"
    assert hits[0].score > hits[1].score + 0.3


def test_scores_are_from_0_to_1_and_fall(index: ImageIndex, folder: Path) -> None:
    index.add([folder])
    for hits in (
        index.search_text("red and blue"),
        index.search_image(np.zeros((9, 9, 3), np.uint8)),
    ):
        scores = [hit.score for hit in hits]
        assert scores == sorted(scores, reverse=True)
        assert all(0 <= score <= 1 for score in scores)


def test_empty_query_is_refused(index: ImageIndex) -> None:
    with pytest.raises(BadInput, match="empty"):
        index.search_text("  ")


def test_empty_index_returns_no_hits(index: ImageIndex) -> None:
    assert index.search_text("red") == []
    assert index.search_image(np.zeros((9, 9, 3), np.uint8)) == []


def test_second_add_reads_no_file(index: ImageIndex, folder: Path) -> None:
    assert index.add([folder])["added"] == 3
    for path in folder.iterdir():
        stamp = path.stat()
        path.write_bytes(b"x" * stamp.st_size)  # would fail if it were read
        os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    summary = index.add([folder])
    assert (summary["added"], summary["unchanged"], summary["failed"]) == (0, 3, [])


def test_touched_file_is_unchanged_and_replaced_file_is_updated(
    index: ImageIndex, folder: Path, write_picture: Callable[..., Any]
) -> None:
    index.add([folder])
    os.utime(folder / "picture0.png", ns=(1, 1))
    pixels = write_picture(folder / "picture1.png", "blue", seed=9)
    summary = index.add([folder])
    assert (summary["added"], summary["updated"], summary["unchanged"]) == (0, 1, 2)
    assert names(index.search_image(pixels, 1)) == ["picture1.png"]
    assert len(index.search_text("green")) == 3  # the replaced picture occurs once


def test_bad_file_is_listed_and_the_rest_is_indexed(index: ImageIndex, folder: Path) -> None:
    (folder / "broken.jpg").write_bytes(b"no image")
    summary = index.add([folder, folder / "missing.png"])
    assert summary["added"] == 3
    assert [Path(item["file"]).name for item in summary["failed"]] == ["broken.jpg", "missing.png"]
    assert all(item["reason"] for item in summary["failed"])


def test_prune_removes_deleted_files_only(index: ImageIndex, folder: Path) -> None:
    index.add([folder])
    (folder / "picture1.png").unlink()
    assert [Path(path).name for path in index.prune()] == ["picture1.png"]
    assert sorted(names(index.search_text("green"))) == ["picture0.png", "picture2.png"]
    assert index.prune() == []


def test_thumbnail_is_made_of_indexed_files_only(index: ImageIndex, folder: Path) -> None:
    index.add([folder / "picture0.png", folder / "picture1.png"])
    thumbnail = index.thumbnail(str(folder / "picture0.png"))
    assert thumbnail is not None and thumbnail.shape == (48, 48, 3)
    assert index.thumbnail(str(folder / "picture2.png")) is None
    (folder / "picture1.png").unlink()
    assert index.search_text("green", 1)[0].path == str(folder / "picture1.png")
    assert index.thumbnail(str(folder / "picture1.png")) is None


def test_another_classifier_embeds_again_and_vectors_do_not_mix(
    open_index: Callable[..., ImageIndex], folder: Path
) -> None:
    first = open_index("colours")
    first.add([folder])
    second = open_index("other")
    assert second.search_image(np.zeros((9, 9, 3), np.uint8)) == []
    second.add([folder / "picture0.png"])
    black = np.zeros((9, 9, 3), np.uint8)
    assert [len(index.search_image(black)) for index in (first, second)] == [3, 1]
    assert len(second.search_text("red")) == 1


def test_another_index_on_the_folder_sees_new_images(
    open_index: Callable[..., ImageIndex], folder: Path
) -> None:
    writer, viewer = open_index(), open_index()
    assert viewer.search_text("red") == []
    writer.add([folder])
    assert len(viewer.search_text("red")) == 3
    assert len(viewer.search_image(np.zeros((9, 9, 3), np.uint8))) == 3


def test_file_killed_between_its_two_writes_is_indexed_again(
    index: ImageIndex, folder: Path
) -> None:
    index.add([folder])
    images = collection(index, "images-")
    images.delete(ids=[str(folder / "picture1.png")])  # only its text vectors are left
    assert len(index.search_text("green")) == 2
    summary = index.add([folder])
    assert (summary["added"], summary["unchanged"]) == (1, 2)
    assert names(index.search_text("green", 1)) == ["picture1.png"]
    assert len(index.search_text("green")) == 3


def test_damaged_index_is_one_line_that_names_the_folder_to_delete(
    open_index: Callable[..., ImageIndex], folder: Path
) -> None:
    index = open_index()
    index.add([folder])
    index.close()
    store = index.config.data_dir / "chroma"
    for path in store.rglob("*"):
        if path.is_file():
            path.write_bytes(b"garbage" * 100)
    with pytest.raises(Unavailable) as error:
        index.search_text("red")
    assert f"Delete {store}" in str(error.value)
    assert len(str(error.value).splitlines()) == 1
    shutil.rmtree(store)
    assert index.add([folder])["added"] == 3


def test_duplicates_are_copies_and_not_other_pictures(
    index: ImageIndex, folder: Path, write_picture: Callable[..., Any]
) -> None:
    image = Image.fromarray(write_picture(folder / "large.png", "red", seed=5, size=300))
    image.save(folder / "jpeg.jpg", quality=60)
    image.resize((120, 120)).save(folder / "small.png")
    index.add([folder])
    [group] = index.duplicates()
    assert {Path(path).name for path in group} == {"large.png", "jpeg.jpg", "small.png"}


def test_duplicates_are_not_plain_pictures_of_two_colours(index: ImageIndex, folder: Path) -> None:
    for colour in ("white", "black", "red"):
        Image.new("RGB", (64, 64), colour).save(folder / f"{colour}.png")
    index.add([folder])
    assert index.duplicates() == []


def test_duplicates_are_not_pages_with_other_numbers(
    index: ImageIndex, folder: Path, reader: Any
) -> None:
    pixels = np.asarray(Image.open(folder / "picture0.png")).copy()
    for number in range(2):
        pixels[0, 0] = number
        reader.texts[(number,) * 3] = f"Invoice {number + 17}\nTotal {number + 65}.00"
        Image.fromarray(pixels).save(folder / f"invoice{number}.png")
    pixels[1, 1] = 9
    Image.fromarray(pixels).save(folder / "copy.png")  # of the second
    index.add([folder / "invoice0.png", folder / "invoice1.png", folder / "copy.png"])
    [group] = index.duplicates()
    assert [Path(path).name for path in group] == ["copy.png", "invoice1.png"]


def adding_program(folder: Path) -> str:
    """The code of a process that indexes the folder and prints a line for each file."""
    return (
        "import runpy, sys\n"
        f"globals().update(runpy.run_path({str(Path(__file__).with_name('conftest.py'))!r}))\n"
        f"config = Config(data_dir=Path({str(folder.parent / 'data')!r}), _env_file=None)\n"
        "index = ImageIndex(config, ColourClassifier(), CornerReader(),"
        " embeddings=HashEmbeddings())\n"
        f"index.add([Path({str(folder)!r})], progress=lambda n, *_: print(n, flush=True))\n"
    )


@pytest.mark.slow
def test_images_that_another_process_adds_are_seen(
    index: ImageIndex, folder: Path, write_picture: Callable[..., Any]
) -> None:
    index.add([folder])
    assert len(index.search_image(np.zeros((9, 9, 3), np.uint8))) == 3
    pixels = write_picture(folder / "new.png", "green", seed=77)
    subprocess.run([sys.executable, "-c", adding_program(folder)], check=True, capture_output=True)
    assert names(index.search_image(pixels, 1)) == ["new.png"]


@pytest.mark.slow
def test_killed_add_is_completed_by_the_next(
    open_index: Callable[..., ImageIndex], folder: Path, write_picture: Callable[..., Any]
) -> None:
    for number in range(60):
        write_picture(folder / f"many{number}.png", "green", seed=100 + number)
    code = adding_program(folder)
    # The progress lines choose the moments, somewhere in the file after them.
    for stop in (1, 7, 20, 21, 40, 63):
        process = subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=folder
        )
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= stop:
                break
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    index = open_index()
    summary = index.add([folder])
    assert summary["failed"] == []
    hits = index.search_image(np.zeros((9, 9, 3), np.uint8), 300)
    assert len({hit.path for hit in hits}) == len(hits) == 63
    assert collection(index, "texts-").count() == 63  # a vector of labels each
