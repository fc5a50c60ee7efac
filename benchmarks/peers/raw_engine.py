"""seedbed's engine without a server: a JSON job a line in, its figures as a JSON line out.

A job is {"prompts": [TEXT, …], "level": N, "output_tokens": N}: `level` threads send one prompt
after the other, as clients of a server would.
"""

import json
import sys
import threading
import time
from typing import Any


def main() -> None:
    from seedbed.engine.engine import Engine
    from seedbed.engine.generation import Sampling
    from seedbed.models.weights.ensure import ensure

    engine = Engine(ensure("smollm2"))

    def run(job: dict[str, Any]) -> dict[str, Any]:
        prompts = iter(job["prompts"])
        lock, answers = threading.Lock(), []
        sampling = Sampling(
            max_new_tokens=job["output_tokens"],
            min_new_tokens=job["output_tokens"],
            ignore_eos=True,
        )

        def client() -> None:
            while True:
                with lock:
                    text = next(prompts, None)
                if text is None:
                    return
                prompt = engine.apply_chat_template([{"role": "user", "content": text}])
                answers.append(engine.submit(prompt, sampling).result())

        threads = [threading.Thread(target=client) for _ in range(job["level"])]
        started = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wall = time.perf_counter() - started
        tokens = sum(answer.completion_tokens for answer in answers)
        first = sorted(answer.time_to_first_token for answer in answers)
        return {
            "tokens_per_second": round(tokens / wall, 1),
            "output_tokens": tokens,
            "prompt_tokens": answers[0].prompt_tokens,
            "first_token": {
                "p50": round(first[len(first) // 2], 4),
                "p95": round(first[min(len(first) - 1, len(first) * 95 // 100)], 4),
            },
        }

    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), flush=True)
    engine.close()


if __name__ == "__main__":
    main()
