"""A run's checkpoints: complete or not there, and the newest two stay."""

from pathlib import Path

from finetune_lora.model import checkpoints


def test_only_the_newest_two_complete_checkpoints_stay(tmp_path: Path) -> None:
    assert checkpoints.latest(tmp_path) is None
    for step in (5, 10, 15, 15):  # the same step again replaces it
        written = checkpoints.scratch(tmp_path) / f"checkpoint-{step}"
        written.mkdir(parents=True)
        assert checkpoints.latest(tmp_path) != written
        path = checkpoints.keep(tmp_path, step, {"tokens": step})
        assert checkpoints.latest(tmp_path) == path
    assert sorted(p.name for p in path.parent.glob("step-*")) == ["step-000010", "step-000015"]
    (checkpoints.scratch(tmp_path) / "checkpoint-20").mkdir(parents=True)  # left by a kill
    checkpoints.clear(tmp_path)
    assert not checkpoints.scratch(tmp_path).exists()
