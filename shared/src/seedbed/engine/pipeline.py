"""Opens OpenVINO's batching pipeline and translates `Sampling` for it.

    pipeline = open_pipeline(Path("weights/smollm2"), cache_tokens=16384)
    handle = pipeline.add_request(1, token_tensor(ids), generation_config(Sampling()))

The only module that imports OpenVINO.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from seedbed.engine.generation import Sampling
from seedbed.errors import WeightsError
from seedbed.observe.logs_and_traces import silence_dependencies

# Tokens that one step processes at most. OpenVINO keeps Python's global lock during a step, so a
# long prompt is processed in parts, between which other threads run.
STEP_TOKENS = 256
BLOCK_TOKENS = 32  # tokens in one block of OpenVINO's KV cache on a CPU
# On processors with AMX the default is bfloat16, with which an answer depends on the other requests
# in its batch and on the prefix cache. Measured on one such processor: float32 writes 1.3 to 1.5
# times as many tokens per second, and takes 1.7 times as long to process a prompt.
_EXACT = {"INFERENCE_PRECISION_HINT": "f32"}


def open_pipeline(model_dir: Path, cache_tokens: int) -> Any:
    """A `ContinuousBatchingPipeline` for a folder with OpenVINO files or a GGUF file.

    `cache_tokens` is the size of the KV cache. Raises WeightsError if the model cannot be loaded.
    """
    silence_dependencies()
    import openvino_genai

    scheduler = openvino_genai.SchedulerConfig()
    scheduler.enable_prefix_caching = True
    scheduler.max_num_batched_tokens = STEP_TOKENS
    scheduler.num_kv_blocks = -(-cache_tokens // BLOCK_TOKENS)  # rounded up
    ggufs = [] if (model_dir / "openvino_model.xml").exists() else sorted(model_dir.glob("*.gguf"))
    path = ggufs[0] if ggufs else model_dir
    try:
        return openvino_genai.ContinuousBatchingPipeline(str(path), scheduler, "CPU", _EXACT)
    except RuntimeError as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
        raise WeightsError(
            f"OpenVINO cannot load {str(model_dir)!r}: {reason}",
            hint="The folder needs openvino_model.xml and openvino_tokenizer.xml, or a .gguf file.",
        ) from error


def token_tensor(ids: list[int]) -> Any:
    """Token ids as an `openvino.Tensor` of shape (1, len(ids)), int64."""
    import numpy as np
    import openvino

    return openvino.Tensor(np.array([ids], dtype=np.int64))


def generation_config(sampling: Sampling) -> Any:
    """The `openvino_genai.GenerationConfig` of a `Sampling`; `Detokenizer` applies its `stop`."""
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
        # OpenVINO's own default is a fixed seed, which would repeat every answer.
        config.rng_seed = random.getrandbits(31) if sampling.seed is None else sampling.seed
    if sampling.grammar is not None:
        config.structured_output_config = openvino_genai.StructuredOutputConfig(
            grammar=sampling.grammar
        )
    return config
