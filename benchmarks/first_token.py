"""Time to the first token after a prompt of some 800 tokens, on the default chat model.

    python benchmarks/first_token.py

Every prompt begins differently, so that no cached prefix helps. The second figure is the same with
a prefix that was seen before, as in a conversation.
"""

from __future__ import annotations

import json
import statistics
import time
from typing import Any

import corpus

PROMPT_TOKENS = 800
REPEATS = 20


def first_token_seconds(model: Any, prompt: str) -> float:
    started = time.perf_counter()
    stream = model.stream(prompt, max_tokens=8)
    next(chunk for chunk in stream if chunk.content)
    seconds = time.perf_counter() - started
    for _ in stream:
        pass
    return seconds


def main() -> dict[str, Any]:
    from seedbed.models.load import load_chat_model

    model = load_chat_model("smollm2")
    texts = list(corpus.passages(REPEATS * 12))
    prompts = [" ".join(texts[i::REPEATS]) for i in range(REPEATS)]
    ids = [model.engine.encode(prompt)[:PROMPT_TOKENS] for prompt in prompts]
    prompts = [model.engine.decode(part) for part in ids]
    first_token_seconds(model, prompts[0])
    fresh, again = [], []
    for number, prompt in enumerate(prompts):
        fresh.append(first_token_seconds(model, f"{number}. {prompt}"))
        again.append(first_token_seconds(model, f"{number}. {prompt}"))
    quantiles = statistics.quantiles(fresh, n=20)
    return {
        "prompt_tokens": PROMPT_TOKENS,
        "first_token_p50": round(statistics.median(fresh), 3),
        "first_token_p95": round(quantiles[18], 3),
        "cached_first_token_p50": round(statistics.median(again), 3),
    }


if __name__ == "__main__":
    print(json.dumps(main(), indent=2))
