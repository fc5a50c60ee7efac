"""Folders on a Ray cluster: the same rows as without it, from both nodes, errors included."""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from vision_app.config import Config
from vision_app.files.images import Source
from vision_app.serve.on_ray import Worker, map_folder
from vision_app.vision import Vision, open_vision
from seedbed.errors import MissingExtra
from seedbed.settings import Settings
from seedbed.testing.launch import launch_ray


def measure(vision: Vision, source: Source) -> dict[str, Any]:
    """A task without models: the mean of an image."""
    return {"file": source.name, "mean": float(source.first().mean()), "width": vision.config.queue}


def fail(_: Vision, source: Source) -> dict[str, Any]:
    raise RuntimeError(f"secret of {source.name}")


def meet(_: Vision, source: Source) -> dict[str, Any]:
    """Wait until the task runs on two nodes, for at most a minute."""
    import ray

    node = ray.get_runtime_context().get_node_id()
    meeting = Path(source.name).parent / "nodes"
    meeting.mkdir(exist_ok=True)
    (meeting / node).touch()
    end = time.monotonic() + 60
    while len(list(meeting.iterdir())) < 2 and time.monotonic() < end:
        time.sleep(0.05)
    return {"file": source.name, "node": node}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 images and a file that is not one."""
    folder = tmp_path_factory.mktemp("images")
    for number in range(24):
        pixels = np.full((40, 60, 3), 10 * number, np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    (folder / "07b.png").write_text("not an image")
    return folder


def rows(worker: Worker, files: list[Path]) -> list[dict[str, Any]]:
    texts = worker({"file": np.array([str(file) for file in files])})["json"]
    return [json.loads(text) for text in texts]


def test_a_worker_returns_results_and_errors(folder: Path) -> None:
    worker = Worker(measure, Config(queue=3), Settings())
    good, bad, missing = rows(worker, [folder / "02.png", folder / "07b.png", folder / "no.png"])
    assert good == {"file": str(folder / "02.png"), "mean": 20.0, "width": 3}
    assert bad.keys() == missing.keys() == {"file", "error"}
    assert "text, not an image" in bad["error"]


def test_an_unexpected_error_does_not_end_the_work(folder: Path) -> None:
    [row] = rows(Worker(fail, Config(), Settings()), [folder / "02.png"])
    assert row["file"] == str(folder / "02.png")
    assert "secret" not in row["error"]


def test_without_ray_the_error_names_the_extra(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"vision-app\[ray\]"):
        map_folder([folder], measure, Config(), Settings())


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes with room for one worker each."""
    with launch_ray() as ray:
        ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
        yield ray


@pytest.mark.slow
@pytest.mark.skipif(" " in sys.executable, reason="Ray starts no workers from a path with spaces")
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("cluster")
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")
class TestCluster:
    def test_rows_are_in_the_order_of_the_files_and_include_errors(self, folder: Path) -> None:
        config = Config(queue=3)
        result = list(map_folder([folder], measure, config, Settings()))
        files = sorted(folder.glob("*.png"))
        assert result == rows(Worker(measure, config, Settings()), files)
        assert [row["file"] for row in result if "error" in row] == [str(folder / "07b.png")]

    def test_both_nodes_take_part(self, folder: Path) -> None:
        result = list(map_folder([folder], meet, Config(), Settings()))
        assert len({row["node"] for row in result if "node" in row}) == 2

    def test_results_equal_the_sequential_ones(self, tmp_path: Path) -> None:
        page = Image.new("RGB", (400, 120), "white")
        font = ImageFont.load_default(size=40)
        ImageDraw.Draw(page).text((20, 30), "INVOICE 4711", "black", font)
        page.save(tmp_path / "page.png")
        vision = open_vision(Config(), Settings())
        [row] = map_folder([tmp_path], Vision.extract, Config(), Settings())
        assert row == vision.extract(vision.open(tmp_path / "page.png"))
