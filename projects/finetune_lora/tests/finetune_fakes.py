"""A base model small enough for tests: two random layers with a tokenizer trained on the spot."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_WORDS = (
    "reset the password of anna bob order ticket laptop monitor please thanks status refund "
    'classify label answer system user assistant T-104 A-2211 {"name": "none", "arguments": {}} '
    "good bad great awful 0123456789 abcdefghijklmnopqrstuvwxyz"
)


def tiny_base(
    folder: Path, *, seed: int = 0, layers: int = 2, template: bool = True, window: int = 512
) -> str:
    """Write a random Llama of `layers` layers (hidden size 64) to `folder`; its `path:` spec.

    The tokenizer is byte-level BPE, so every text has tokens. Without `template` it is a base model
    that knows no chat.
    """
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(  # SmolLM2's
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(False)]
    )
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator(
        [_WORDS],
        trainers.BpeTrainer(vocab_size=512, special_tokens=special, initial_alphabet=alphabet),
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    if template:
        tokenizer.chat_template = TEMPLATE
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=window,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.eos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return f"path:{folder}"


def tiny_adapter(folder: Path, base: str, *, method: str = "lora", seed: int = 0) -> Path:
    """Write an adapter of `base` with large random weights to `folder`, as if it were trained."""
    import torch

    from finetune_lora.model.adapter import AdapterOptions, attach, save_adapter
    from finetune_lora.model.base import load_base

    loaded = load_base(base, dtype="float32")
    model = attach(loaded, AdapterOptions(method=method, r=4, alpha=8))
    torch.manual_seed(seed)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.5)
        elif "magnitude" in name:
            weight.data.mul_(1 + 0.2 * torch.rand_like(weight))
    save_adapter(model, loaded.tokenizer, folder, {"base": base, "base_hash": loaded.hash})
    return folder


def write_run(
    folder: Path,
    *,
    steps: int = 3,
    of: int = 3,
    state: str = "finished",
    error: str | None = None,
    started: str | None = None,
) -> Path:
    """Write the folder of a run that logged so many of its steps, as the trainer's events make it.

    A run "running" is one of this process; there is no adapter. It started now, or at the ISO time
    `started`.
    """
    from finetune_lora.runs.run_folder import RunFolder

    args = {"data": "data/train.jsonl", "output": str(folder), "base": "smollm2", "lr": 1e-4}
    data = {"path": "data/train.jsonl", "sha256": "ab", "n": 30}
    tell = RunFolder(folder)
    tell({"event": "start", "args": args, "base": "smollm2", "data": data, "steps": of})
    for step in range(1, steps + 1):
        known = {"step": step, "of": of, "loss": 2.0 / step, "lr": 1e-4, "tokens_per_second": 300}
        tell({"event": "step", **known, "seconds": step, "left": of - step})
    tell({"event": "eval", "step": steps, "eval_loss": 0.5})
    if state != "running":
        tell({"event": "end", "state": state, "error": error})
    if started is not None:
        tell.update(started=started)
    return folder


def run_torchrun(
    arguments: Sequence[str], *, timeout_s: float = 300
) -> subprocess.CompletedProcess[str]:
    """Run a script with arguments (or `-m` and a module) in two processes, on the CPU.

    No process is left when it returns or raises.
    """
    options = "--standalone --nproc-per-node 2 --shutdown-timeout 2".split()
    command = [sys.executable, "-m", "torch.distributed.run", *options, *arguments]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    with subprocess.Popen(
        command, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as torchrun:
        try:
            output, errors = torchrun.communicate(timeout=timeout_s)
        finally:
            torchrun.terminate()  # it stops its processes; after its end this does nothing
    return subprocess.CompletedProcess(command, torchrun.returncode, output, errors)


class ScriptedPlayground:
    """Answers as told, by side, without a model; `asked` are the (folder, text, side)s so far.

    While `released` is clear, an answer waits for it.
    """

    def __init__(self, **answers: dict[str, object]) -> None:
        self.answers = answers
        self.asked: list[tuple[Path, str, str]] = []
        self.released = threading.Event()
        self.released.set()

    def holds(self, folder: Path) -> bool:
        return any(folder == asked for asked, _, _ in self.asked)

    def answer(self, folder: Path, text: str, side: str) -> dict[str, object]:
        self.asked.append((folder, text, side))
        assert self.released.wait(60)
        empty = {"text": "", "seconds": 0.1, "scores": None, "call": None, "problems": None}
        return {**empty, **self.answers[side]}
