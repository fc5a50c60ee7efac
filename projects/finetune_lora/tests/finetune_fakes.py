"""A base model small enough for tests: two random layers with a tokenizer trained on the spot."""

from __future__ import annotations

import json
import multiprocessing
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from finetune_lora.train.arguments import TrainArgs

Operation = tuple[str, str, int] | None
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

    from finetune_lora.model.adapter import attach, save_adapter
    from finetune_lora.model.base import load_base

    loaded = load_base(base, dtype="float32")
    model = attach(loaded, method=method, r=4, alpha=8)
    torch.manual_seed(seed)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.5)
        elif "magnitude" in name:
            weight.data.mul_(1 + 0.2 * torch.rand_like(weight))
    save_adapter(model, loaded.tokenizer, folder, {"base": base, "base_hash": loaded.hash})
    return folder


def tiny_training(folder: Path) -> TrainArgs:
    """The arguments of a training of ten steps, with an evaluation every 4 and checkpoints every 3.

    Writes its base and its labelled rows into `folder`; they are not a whole number of batches.
    """
    from finetune_lora.train.arguments import TrainArgs

    folder.mkdir(exist_ok=True)
    rows = [
        {
            "text": f"reset the password of bob {i * i} " * (1 + i % 3),
            "label": ("good", "bad")[i % 2],
        }
        for i in range(30)
    ]
    for name, some in (("train", rows), ("dev", rows[::4])):
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, some)))
    return TrainArgs(
        data=str(folder / "train.jsonl"),
        eval_data=str(folder / "dev.jsonl"),
        output=str(folder / "whole"),
        base=tiny_base(folder / "base"),
        max_steps=10,
        lr=5e-3,
        batch_size=4,
        eval_every=4,
        save_every=3,
        dtype="float32",
        r=4,
    )


def killed(
    args: TrainArgs,
    *,
    step: int = 0,
    operation: Operation = None,
    signals: tuple[int, ...] = (signal.SIGKILL,),
) -> int:
    """Train with a run folder in a process that gets `signals`; its exit code, 130 if stopped.

    They come when `step` is told or at `operation`: an audit event, part of a path, and which one.
    """
    import torch

    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(
        ["finetune_lora.train.trainer", "peft", "transformers.models.llama"]
    )
    arguments = (args, step, operation, signals, torch.get_num_threads())
    process = server.Process(target=_train_and_die, args=arguments)
    process.start()
    try:
        process.join(240)
        assert process.exitcode is not None, "it did not end"
        return process.exitcode
    finally:
        process.kill()


def _train_and_die(
    args: TrainArgs, step: int, operation: Operation, signals: tuple[int, ...], threads: int
) -> None:
    import torch

    from finetune_lora.runs.run_folder import RunFolder
    from finetune_lora.train.signals import Stopped
    from finetune_lora.train.train import train

    left = operation[2] if operation else 0

    def die() -> None:
        for number in signals:  # to this thread: another one might take them much later
            signal.raise_signal(number)

    def at_step(event: Mapping[str, object]) -> None:
        if event["event"] == "step" and event["step"] == step:
            die()

    def at_operation(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if operation and event == operation[0] and operation[1] in " ".join(map(str, arguments)):
            left -= 1
            if not left:
                die()

    sys.addaudithook(at_operation)
    torch.set_num_threads(threads)
    # A test run that was started in the background ignores Ctrl-C, and so would its processes.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    try:
        train(args, listeners=[RunFolder(Path(args.output)), at_step])
    except Stopped:
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
        sys.exit(130)


def difference(first: Path, second: Path) -> float:
    """The largest difference between the weights of two adapters."""
    from safetensors.torch import load_file

    one, two = (load_file(folder / "adapter_model.safetensors") for folder in (first, second))
    assert one.keys() == two.keys()
    return max((one[name] - two[name]).abs().max().item() for name in one)


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

    With the state "running" it counts as running while a test holds its `lock`. It has no adapter,
    and started now, or at the ISO time `started`.
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


class ScriptedPlayground:
    """Gives the same answers to each question, without a model."""

    def __init__(self, **answers: dict[str, object]) -> None:
        self.answers = answers

    def answer(self, _folder: Path, _text: str, *, bare: bool) -> dict[str, object]:
        empty = {"text": "", "seconds": 0.1, "scores": None, "problems": None}
        return {**empty, **self.answers["before" if bare else "after"]}
