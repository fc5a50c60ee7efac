"""A GGUF answers as the model it was made from, in llama.cpp and in OpenVINO alike."""

from __future__ import annotations

import json
import re
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import openvino_genai
import pytest
import torch
from finetune_fakes import tiny_adapter, tiny_base
from gguf import GGUFReader, dequantize
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    PreTrainedConfig,
    Qwen2Config,
    Qwen3Config,
)

from finetune_lora.export import export
from seedbed.engine.engine import Engine
from seedbed.engine.generation import Sampling
from seedbed.errors import BadInput
from seedbed.models.weights.catalog import MODELS
from seedbed.models.weights.ensure import source_file
from seedbed.models.weights.hf_folder import hf_folder

PROMPTS = [
    "<|im_start|>user\nreset the password of anna<|im_end|>\n<|im_start|>assistant\n",
    "order A-2211 for bob, it's 12.50",
]
TOKENS = 12


def to_gguf(source: Path, out: Path, type: str | None = "F16") -> Path:
    return Path(export(source, "gguf", out, type=type, force=False)["path"])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A merged folder whose weights are large enough for every layer to count."""
    folder = tmp_path_factory.mktemp("model")
    adapter = tiny_adapter(folder / "adapter", tiny_base(folder / "base"))
    return Path(export(adapter, "merged", type="float32", force=False)["path"])


def with_transformers(folder: Path) -> list[str]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    answers = []
    for prompt in PROMPTS:
        ids = tokenizer(prompt, return_tensors="pt", add_special_tokens=False)
        out = network.generate(**ids, max_new_tokens=TOKENS, do_sample=False)
        answers.append(tokenizer.decode(out[0, ids.input_ids.shape[1] :], skip_special_tokens=True))
    return readable(answers)


def exact_pipeline(folder: Path, cache_tokens: int) -> Any:
    """OpenVINO keeps keys and values in 8 bits, which turns close calls of a random model."""
    scheduler = openvino_genai.SchedulerConfig()
    scheduler.num_kv_blocks = cache_tokens // 32
    path = next(folder.glob("*.gguf"))
    exact = {"KV_CACHE_PRECISION": "f32", "INFERENCE_PRECISION_HINT": "f32"}
    return openvino_genai.ContinuousBatchingPipeline(str(path), scheduler, "CPU", exact)


def with_openvino(folder: Path) -> list[str]:
    engine = Engine(folder, context_window=512, cache_tokens=512, pipeline_factory=exact_pipeline)
    sampling = Sampling(max_new_tokens=TOKENS, temperature=0)
    with closing(engine):
        return readable([engine.submit(prompt, sampling).result().text for prompt in PROMPTS])


def with_llama_cpp(path: Path) -> list[str]:
    xllamacpp = pytest.importorskip("xllamacpp")
    params = xllamacpp.CommonParams()
    params.model.path, params.n_ctx, params.n_parallel = str(path), 512, 1
    params.cpuparams.n_threads, params.verbosity, params.warmup = 1, 0, False
    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    server = xllamacpp.Server(params)
    ask = {"n_predict": TOKENS, "temperature": 0, "cache_prompt": False}
    answers = [server.handle_completions({"prompt": prompt} | ask) for prompt in PROMPTS]
    return readable([answer["choices"][0]["text"] for answer in answers])


def readable(answers: list[str]) -> list[str]:
    """Without what each program shows in its own way: half characters, ids without a token."""
    return [re.sub(r"\[PAD\d+\]|[^ -~]", "", answer) for answer in answers]


def save(folder: Path, model: Path, config: PreTrainedConfig) -> Path:
    """A random model of the `config` with the tokenizer of `model`."""
    shutil.copytree(model, folder, ignore=shutil.ignore_patterns("*.safetensors", "config.json"))
    torch.manual_seed(1)
    network = AutoModelForCausalLM.from_config(config)
    for name, weight in network.named_parameters():
        if name.endswith(".bias"):  # zero in a new model
            torch.nn.init.normal_(weight)
    network.half().float().save_pretrained(folder)  # F16 stores these without rounding
    return folder


def numbers(**more: Any) -> dict[str, Any]:
    return {
        "vocab_size": 512,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "initializer_range": 0.15,
        "bos_token_id": 2,
        "eos_token_id": 2,
    } | more


@pytest.mark.parametrize(
    "config",
    [
        LlamaConfig(**numbers(tie_word_embeddings=False)),
        MistralConfig(**numbers(sliding_window=None)),
        Qwen2Config(**numbers(tie_word_embeddings=True)),
        Qwen3Config(**numbers(head_dim=32)),
    ],
    ids=lambda config: config.model_type,
)
def test_both_readers_answer_as_transformers(
    tmp_path: Path, model: Path, config: PreTrainedConfig
) -> None:
    folder = save(tmp_path / "model", model, config)
    path = to_gguf(folder, tmp_path / "out")
    expected = with_transformers(folder)
    assert with_llama_cpp(path) == expected
    assert with_openvino(path.parent) == expected


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_packaged_model_survives_the_way_there_and_back(tmp_path: Path) -> None:
    folder = hf_folder("smollm2")
    path = to_gguf(folder, tmp_path / "out")
    expected = with_transformers(folder)
    assert with_openvino(path.parent) == expected
    assert with_llama_cpp(path) == expected
    packaged = {t.name: t for t in GGUFReader(source_file(MODELS["smollm2"])).tensors}
    exported = {t.name: t for t in GGUFReader(path).tensors}
    assert exported.keys() == packaged.keys()
    for name in ("blk.3.attn_q.weight", "blk.3.attn_k.weight", "token_embd.weight"):
        original = dequantize(packaged[name].data, packaged[name].tensor_type)
        assert np.allclose(exported[name].data, original, rtol=1e-3, atol=1e-6)


def test_matrices_have_the_type_and_norms_are_exact(tmp_path: Path, model: Path) -> None:
    reader = GGUFReader(to_gguf(model, tmp_path / "out", type=None))
    kinds = {tensor.name: tensor.tensor_type.name for tensor in reader.tensors}
    norms = [kinds.pop(name) for name in list(kinds) if "norm" in name]
    assert norms == ["F32"] * 5
    assert set(kinds.values()) == {"Q8_0"}
    assert "output.weight" not in kinds  # tied


def test_unsupported_architecture_is_refused_by_name(tmp_path: Path, model: Path) -> None:
    config = GPT2Config(vocab_size=512, n_embd=32, n_layer=1, n_head=2)
    folder = save(tmp_path / "model", model, config)
    with pytest.raises(BadInput, match=r"GPT2LMHeadModel .*convert_hf_to_gguf"):
        to_gguf(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "key", "value", "message"),
    [
        ("tokenizer.json", "pre_tokenizer", {"type": "Whitespace"}, "unsupported pre-tokenizer"),
        ("tokenizer.json", "model", {"byte_fallback": True}, "not byte-level BPE"),
        ("config.json", "rope_parameters", {"rope_type": "yarn", "factor": 4.0}, "'yarn'"),
    ],
)
def test_unsupported_tokenizer_or_rope_is_refused(
    tmp_path: Path, model: Path, name: str, key: str, value: dict[str, Any], message: str
) -> None:
    folder = shutil.copytree(model, tmp_path / "model")
    data = json.loads((folder / name).read_text("utf-8"))
    data[key] = (data[key] if key != "pre_tokenizer" else {}) | value
    (folder / name).write_text(json.dumps(data), "utf-8")
    with pytest.raises(BadInput, match=message):
        to_gguf(folder, tmp_path / "out")
