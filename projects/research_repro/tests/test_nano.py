"""The edition of one file: its layer is the paper's, its claim can fail, its run is recorded."""

import json
from pathlib import Path

import matplotlib
import pytest
import torch
from torch import nn

from seedbed.testing.launch import import_file

matplotlib.use("agg")
nano = import_file(Path(__file__).parents[1] / "nano.py")


@pytest.fixture
def layer() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(6, 5)


def test_layer_starts_as_it_was_and_follows_equation_3(layer: nn.Linear) -> None:
    x = torch.randn(3, 6)
    lora = nano.LoRALinear(layer, rank=2, alpha=8.0)
    assert torch.equal(lora(x), layer(x))
    with torch.no_grad():
        lora.B.normal_()
        expected = x @ (layer.weight + 8.0 / 2 * lora.B @ lora.A).T + layer.bias
        assert torch.allclose(lora(x), expected, atol=1e-5)
        assert torch.allclose(lora.delta(), 4 * lora.B @ lora.A)


def test_only_update_is_trained(layer: nn.Linear) -> None:
    layer.bias.requires_grad_(False)
    lora = nano.LoRALinear(layer, rank=2, alpha=1.0)
    trained = {name for name, p in lora.named_parameters() if p.requires_grad}
    assert trained == {"A", "B"}


def test_right_rank_learns_change_from_few_examples() -> None:
    task = nano.make_task(0)
    right, full = (nano.missed(task, rank, seed=0) for rank in (nano.TRUE_RANK, None))
    assert right < 0.5 * full


def test_claim_needs_whole_interval() -> None:
    assert nano.holds(-0.3, -0.1)
    assert not nano.holds(-0.3, 0.1)
    assert not nano.holds(float("nan"), float("nan"))
    mean, low, high = nano.interval([1.0, 2.0, 3.0])
    assert (mean, round(low, 2), round(high, 2)) == (2.0, -0.48, 4.48)


@pytest.mark.slow
def test_run_is_judged_and_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(nano, "DATA", tmp_path)
    monkeypatch.setattr(nano, "SEEDS", (0, 1, 2))
    monkeypatch.setattr(nano, "RANKS", (1, 4))
    assert nano.main() == 0
    assert ": holds" in capsys.readouterr().out
    run = json.loads((tmp_path / "result.json").read_text("utf-8"))
    assert run["holds"] is True
    assert sum(run["missed"]["rank 1"]) > sum(run["missed"]["rank 4"])
    assert (tmp_path / "missed.png").exists()
    # Without noise there is nothing to fit by mistake, and the claim fails.
    monkeypatch.setattr(nano, "NOISE", 0.0)
    assert nano.main() == 1
