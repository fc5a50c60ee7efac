"""Pictures are PNG of the promised width, whatever is in them."""

import io
import math
from typing import Any

import pytest

from finetune_lora.evaluate.pictures import confusion_picture, loss_picture

pytestmark = pytest.mark.filterwarnings("error", "ignore::ResourceWarning")
image = pytest.importorskip("PIL.Image")


@pytest.mark.parametrize(
    "names",
    [["a"], [f"label {i}" for i in range(120)], ["$a$ \\frac", "日本語", "\ud800", "z" * 900, ""]],
)
def test_confusion_matrix_is_drawn(names: list[str]) -> None:
    picture = confusion_picture(names, [*names[1:], None], title="$")
    assert image.open(io.BytesIO(picture)).width == 1000


@pytest.mark.parametrize("losses", [[], [math.nan, None], [2.0, math.inf, 1.0]])
def test_losses_are_drawn(losses: list[Any]) -> None:
    rows = [{"step": i, "loss": loss, "eval_loss": loss} for i, loss in enumerate(losses)]
    assert image.open(io.BytesIO(loss_picture(rows))).size == (1000, 500)
