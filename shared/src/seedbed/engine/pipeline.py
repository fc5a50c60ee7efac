"""OpenVINO's pipeline: how it is opened and told what to do. Only this module imports OpenVINO.

It knows no requests and no threads: the engine owns what it opens.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from seedbed.engine.generation import Sampling
from seedbed.errors import WeightsError
from seedbed.observe.startup import silence_dependencies

# A step holds Python's lock until it ends, so a long prompt is read in parts: other threads
# wait for one part at most.
STEP_TOKENS = 256
BLOCK_TOKENS = 32  # a block of OpenVINO's KV cache on a CPU
# Processors with AMX would compute in bfloat16, where one request answers otherwise than among
# others or from the prefix cache. Measured on one: float32 writes 1.3 to 1.5 times as many tokens
# a second, and takes 1.7 times as long to read a prompt.
_EXACT = {"INFERENCE_PRECISION_HINT": "f32"}


def open_pipeline(model_dir: Path, cache_tokens: int) -> Any:
    """OpenVINO's pipeline over a folder (OpenVINO files or a GGUF), `cache_tokens` kept."""
    silence_dependencies()
    import openvino_genai

    scheduler = openvino_genai.SchedulerConfig()
    scheduler.enable_prefix_caching = True
    scheduler.max_num_batched_tokens = STEP_TOKENS
    scheduler.num_kv_blocks = -(-cache_tokens // BLOCK_TOKENS)
    ggufs = [] if (model_dir / "openvino_model.xml").exists() else sorted(model_dir.glob("*.gguf"))
    path = ggufs[0] if ggufs else model_dir
    try:
        return openvino_genai.ContinuousBatchingPipeline(str(path), scheduler, "CPU", _EXACT)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise WeightsError(
            f"OpenVINO cannot load {str(model_dir)!r}: {reason}",
            hint="It needs openvino_model.xml and openvino_tokenizer.xml, or a .gguf file.",
        ) from error


def tensor(ids: list[int]) -> Any:
    import numpy as np
    import openvino

    return openvino.Tensor(np.array([ids], dtype=np.int64))


def generation_config(sampling: Sampling) -> Any:
    import openvino_genai

    config = openvino_genai.GenerationConfig()
    config.max_new_tokens = sampling.max_new_tokens
    config.min_new_tokens = sampling.min_new_tokens
    config.ignore_eos = sampling.ignore_eos
    config.repetition_penalty = sampling.repetition_penalty
    config.frequency_penalty = sampling.frequency_penalty
    config.presence_penalty = sampling.presence_penalty
    config.logprobs = int(sampling.logprobs)
    config.do_sample = sampling.temperature > 0
    if config.do_sample:
        config.temperature = sampling.temperature
        config.top_p = sampling.top_p
        if sampling.top_k:
            config.top_k = sampling.top_k
        config.rng_seed = random.getrandbits(31) if sampling.seed is None else sampling.seed
    constraint = {
        name: value
        for name in ("json_schema", "regex", "grammar")
        if (value := getattr(sampling, name)) is not None
    }
    if constraint:
        config.structured_output_config = openvino_genai.StructuredOutputConfig(**constraint)
    return config
