"""The configurations for `accelerate launch`, as far as they can be tried without a GPU."""

import json
from pathlib import Path

import pytest
from finetune_fakes import run_torchrun, tiny_base

from finetune_lora.model.adapter import AdapterOptions, attach
from finetune_lora.model.base import load_base
from finetune_lora.model.batches import Collator
from finetune_lora.model.encode import Encoded
from finetune_lora.model.forward import token_losses
from finetune_lora.train import scale

CONFIGS = Path(scale.__file__).parent


@pytest.mark.parametrize("name", ["fsdp", "deepspeed"])
def test_accelerate_reads_the_configuration(name: str) -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    config = load_config_from_file(str(CONFIGS / f"{name}.yaml"))
    assert config.distributed_type == name.upper()
    assert config.num_processes == 8


def test_accelerate_knows_every_option() -> None:
    import yaml
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser

    for name in ("fsdp", "deepspeed"):
        given = ["--config_file", str(CONFIGS / f"{name}.yaml"), "-m", "finetune_lora", "train"]
        args, _, _ = _validate_launch_command(launch_command_parser().parse_args(given))
        options = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())[f"{name}_config"]
        assert [key for key in options if not hasattr(args, key)] == []


SHARDED = """
import json, os, sys
import torch
from torch.distributed.fsdp import fully_shard
from finetune_lora.model.adapter import AdapterOptions, attach, save_adapter
from finetune_lora.model.base import load_base
from finetune_lora.model.batches import Collator
from finetune_lora.model.encode import Encoded
from finetune_lora.model.forward import token_losses
from finetune_lora.train.scale.sharded import whole_adapter

spec, output = sys.argv[1:]
torch.distributed.init_process_group("gloo")
rank = torch.distributed.get_rank()
torch.manual_seed(0)
base = load_base(spec, dtype="float32")
model = attach(base, AdapterOptions(r=4))
inner = model.get_base_model()
for layer in inner.model.layers:  # as accelerate cuts it
    fully_shard(layer)
fully_shard([inner.model.norm, inner.get_input_embeddings(), inner.get_output_embeddings()])
fully_shard(model)
learned = [w for w in model.parameters() if w.requires_grad]
steps = torch.optim.SGD(learned, lr=1.0)
examples = [Encoded(list(range(5, 20 + i)), list(range(14, 20 + i - 5))) for i in range(4)]
(batch,) = Collator(0, most_tokens=10**9, share_prefix=False)(examples[rank::2])
total = sum(len(e.learned) for e in examples)
loss = token_losses(model, batch).sum() * 2 / total  # gradients are averaged over two processes
loss.backward()
norm = torch.nn.utils.clip_grad_norm_(learned, 1e9)
steps.step()
state = whole_adapter(model)
if rank == 0:
    save_adapter(model, base.tokenizer, __import__("pathlib").Path(output), {}, state=state)
sums = loss.detach() / 2
torch.distributed.all_reduce(sums)
if rank == 0:
    print(json.dumps([sums.item(), float(norm.full_tensor())]), flush=True)
torch.distributed.barrier()  # a process that leaves while others still talk takes them along
# Gloo's threads may hold what Python must let go of; where Python has ended first, they abort the
# process (https://github.com/pytorch/pytorch/pull/179291).
os._exit(0)
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_loss_and_the_adapter_are_the_same_where_weights_are_cut(tmp_path: Path) -> None:
    import torch
    from peft import get_peft_model_state_dict
    from safetensors.torch import load_file

    spec = tiny_base(tmp_path / "base")
    (tmp_path / "cut.py").write_text(SHARDED)
    script = [str(tmp_path / "cut.py"), spec, str(tmp_path / "adapter")]
    done = run_torchrun(script, timeout_s=500)
    assert done.returncode == 0, done.stderr[-3000:]

    torch.manual_seed(0)
    model = attach(load_base(spec, dtype="float32"), AdapterOptions(r=4))
    learned = [w for w in model.parameters() if w.requires_grad]
    examples = [Encoded(list(range(5, 20 + i)), list(range(14, 20 + i - 5))) for i in range(4)]
    (batch,) = Collator(0, share_prefix=False)(examples)
    loss = token_losses(model, batch).mean()
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(learned, 1e9)
    torch.optim.SGD(learned, lr=1.0).step()
    assert json.loads(done.stdout) == pytest.approx([loss.item(), norm.item()], rel=1e-4)
    expected, got = (
        get_peft_model_state_dict(model),
        load_file(tmp_path / "adapter" / "adapter_model.safetensors"),
    )
    assert expected.keys() == got.keys()
    assert all(torch.allclose(expected[name], got[name], atol=1e-5) for name in got)
