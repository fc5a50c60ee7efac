"""transformers' generate in float32 on padded batches: jobs as `raw_engine` takes them.

python padded_batch.py FOLDER
"""

import json
import sys
import time
from typing import Any


def main(folder: str) -> None:
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    torch.set_num_threads(2)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, padding_side="left")
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def batch(texts: list[str], count: int) -> int:
        chats = [[{"role": "user", "content": text}] for text in texts]
        inputs = tokenizer.apply_chat_template(
            chats, add_generation_prompt=True, return_tensors="pt", return_dict=True, padding=True
        )
        with torch.inference_mode():
            ids = model.generate(
                **inputs, do_sample=False, min_new_tokens=count, max_new_tokens=count
            )
        return int(ids[:, inputs["input_ids"].shape[1] :].numel())

    def run(job: dict[str, Any]) -> dict[str, Any]:
        prompts, level = job["prompts"], job["level"]
        started = time.perf_counter()
        tokens = sum(
            batch(prompts[i : i + level], job["output_tokens"])
            for i in range(0, len(prompts), level)
        )
        wall = time.perf_counter() - started
        return {"tokens_per_second": round(tokens / wall, 1), "output_tokens": tokens}

    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
