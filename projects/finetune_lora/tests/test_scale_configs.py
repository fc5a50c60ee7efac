"""The configurations for `accelerate launch`, as far as they can be tried without a GPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from finetune_lora import scale
from finetune_lora.testing import tiny_base
from finetune_lora.train import TrainArgs, train
from seedbed.errors import NotFound


@pytest.mark.parametrize("name", ["fsdp", "deepspeed"])
def test_accelerate_reads_the_configuration(name: str) -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    config = load_config_from_file(str(scale.config(name)))
    assert config.distributed_type == name.upper()
    assert config.num_processes == 8


def test_accelerate_knows_every_option() -> None:
    import yaml
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser

    for name in ("fsdp", "deepspeed"):
        given = ["--config_file", str(scale.config(name)), "-m", "finetune_lora", "train"]
        args, _, _ = _validate_launch_command(launch_command_parser().parse_args(given))
        options = yaml.safe_load(scale.config(name).read_text())[f"{name}_config"]
        assert [key for key in options if not hasattr(args, key)] == []


def test_an_unknown_configuration_is_an_error_that_names_the_known() -> None:
    with pytest.raises(NotFound, match="deepspeed, fsdp"):
        scale.config("megatron")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_fsdp_trains_as_one_process_does(tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    rows = [{"prompt": f"reset {'anna ' * (1 + i % 5)}", "completion": f"T-{i}"} for i in range(12)]
    (tmp_path / "train.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    given = {
        "base": tiny_base(tmp_path / "base"),
        "data": str(tmp_path / "train.jsonl"),
        "eval_data": str(tmp_path / "train.jsonl"),
        "dtype": "float32",
        "batch_size": 3,
        "max_steps": 4,
        "save_every": 2,
        "eval_every": 2,
        "patience": 3,
        "lr": 1e-2,
    }
    events: list[dict[str, object]] = []
    args = TrainArgs(**given, output=str(tmp_path / "one"), accumulation=2)  # type: ignore[arg-type]
    train(args, listeners=[events.append])
    command = [
        sys.executable, "-m", "accelerate.commands.launch",
        "--config_file", str(scale.config("fsdp")), "--num_processes", "2", "--use_cpu",
        "-m", "finetune_lora.scale.worker",
    ]  # fmt: skip
    env = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    for resume in (False, True):
        asked = json.dumps({**given, "output": str(tmp_path / "two"), "resume": resume})
        done = subprocess.run(
            [*command, asked], env=env, capture_output=True, text=True, timeout=500, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        if not resume:
            told = [json.loads(line) for line in done.stdout.splitlines() if line[0] == "{"]
            losses = [[e["loss"] for e in told if e["event"] == "step"],
                      [e["loss"] for e in events if e["event"] == "step"]]  # fmt: skip
            assert losses[0] == pytest.approx(losses[1], rel=1e-3)
        one, two = (load_file(tmp_path / n / "adapter_model.safetensors") for n in ("one", "two"))
        assert one.keys() == two.keys()
        assert all(abs(one[name] - two[name]).max() < 1e-4 for name in one)
