"""Pictures are PNG of the promised width, whatever is in them."""

from __future__ import annotations

import io
import math

import pytest

from finetune_lora.evaluate import pictures

pytestmark = pytest.mark.filterwarnings(
    "error",
    # The garbage of other tests may be collected during these.
    "ignore::ResourceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
)
image = pytest.importorskip("PIL.Image")


def _size(data: bytes) -> tuple[int, int]:
    with image.open(io.BytesIO(data)) as picture:
        assert picture.format == "PNG"
        size: tuple[int, int] = picture.size
        return size


@pytest.mark.parametrize(
    "names",
    [
        ["a"],
        ["good", "bad"],
        [f"a long label of number {i}" for i in range(120)],
        ["$a$ \\frac", "日本語", "\ud800", "x\ny", "z" * 900, ""],
    ],
)
def test_confusion(names: list[str]) -> None:
    got = [*names[1:], None] if len(names) > 1 else ["strange"]
    width, height = _size(pictures.confusion_picture(names, got, title="$"))
    assert width == 1000 and 300 < height <= 1800


@pytest.mark.parametrize(
    "progress",
    [
        [],
        [{"step": 1, "loss": math.nan}],
        [{"step": 1, "loss": 2.0}],
        [{"step": 1, "eval_loss": None}, {"loss": 1.0}, {"step": "x", "loss": 1}],
        [{"step": i, "loss": 1 / (i + 1), "eval_loss": math.inf} for i in range(500)],
    ],
)
def test_loss(progress: list[dict[str, float]]) -> None:
    assert _size(pictures.loss_picture(progress)) == (1000, 500)
