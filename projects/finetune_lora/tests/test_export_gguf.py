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
from gguf import GGMLQuantizationType, GGUFReader, TokenType, dequantize, quantize
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    MistralConfig,
    PreTrainedConfig,
    Qwen2Config,
    Qwen3Config,
)

from finetune_lora.export.four_bits import quantize_q4_1
from finetune_lora.export.gguf import permute, to_gguf
from finetune_lora.export.merge import merge
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


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A merged folder whose weights are large enough for every layer to count."""
    folder = tmp_path_factory.mktemp("model")
    base = tiny_base(folder / "base")
    return merge(tiny_adapter(folder / "adapter", base), folder / "merged", dtype="float32")


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
    network.half().float().save_pretrained(folder)  # what F16 holds without rounding
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


def test_all_three_give_the_same_greedy_answers(tmp_path: Path, model: Path) -> None:
    wanted = with_transformers(model)
    path = to_gguf(model, tmp_path / "out", type="F16")
    assert with_openvino(path.parent) == wanted
    assert with_llama_cpp(path) == wanted
    assert len(set("".join(wanted))) > 10  # no single token over and over


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
def test_families(tmp_path: Path, model: Path, config: PreTrainedConfig) -> None:
    folder = save(tmp_path / "model", model, config)
    path = to_gguf(folder, tmp_path / "out", type="F16")
    wanted = with_transformers(folder)
    assert with_llama_cpp(path) == wanted
    assert with_openvino(path.parent) == wanted


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_packaged_model_answers_alike_after_its_way_there_and_back(tmp_path: Path) -> None:
    folder = hf_folder("smollm2")
    path = to_gguf(folder, tmp_path / "out", type="F16")
    wanted = with_transformers(folder)
    assert with_openvino(path.parent) == wanted
    assert with_llama_cpp(path) == wanted
    packaged = {t.name: t for t in GGUFReader(source_file(MODELS["smollm2"])).tensors}
    made = {t.name: t for t in GGUFReader(path).tensors}
    assert made.keys() == packaged.keys()
    for name in ("blk.3.attn_q.weight", "blk.3.attn_k.weight", "token_embd.weight"):
        there = dequantize(packaged[name].data, packaged[name].tensor_type)
        assert np.allclose(made[name].data, there, rtol=1e-3, atol=1e-6)


def test_an_adapter_is_merged_on_the_way(tmp_path: Path) -> None:
    adapter = tiny_adapter(tmp_path / "adapter", tiny_base(tmp_path / "base"))
    path = to_gguf(adapter, tmp_path / "out", type="F16")
    merged = merge(adapter, tmp_path / "merged", dtype="float32")
    assert with_llama_cpp(path) == with_transformers(merged)
    assert {p.name for p in path.parent.iterdir()} == {
        *("model-F16.gguf", "config.json", "generation_config.json", "export.json")
    }


@pytest.mark.parametrize(
    ("wanted", "matrices", "embeddings"),
    [("F16", "F16", "F16"), ("Q8_0", "Q8_0", "Q8_0"), ("Q4_1", "Q4_1", "Q8_0")],
)
def test_what_becomes_what(
    tmp_path: Path, model: Path, wanted: Any, matrices: str, embeddings: str
) -> None:
    reader = GGUFReader(to_gguf(model, tmp_path / "out", type=wanted))
    kinds = {tensor.name: tensor.tensor_type.name for tensor in reader.tensors}
    assert kinds.pop("token_embd.weight") == embeddings
    norms = [kind for name, kind in kinds.items() if "norm" in name]
    assert set(norms) == {"F32"} and len(norms) == 5
    assert {kind for name, kind in kinds.items() if "norm" not in name} == {matrices}
    assert "output.weight" not in kinds  # tied


def test_the_tokenizer_comes_along(tmp_path: Path, model: Path) -> None:
    reader = GGUFReader(to_gguf(model, tmp_path / "out", type="F16"))
    found = {name: field.contents() for name, field in reader.fields.items()}
    tokenizer = AutoTokenizer.from_pretrained(model)
    assert found["tokenizer.ggml.pre"] == "smollm"
    assert found["tokenizer.ggml.eos_token_id"] == tokenizer.eos_token_id
    assert found["tokenizer.ggml.padding_token_id"] == tokenizer.pad_token_id
    assert found["tokenizer.ggml.add_bos_token"] is False
    assert found["tokenizer.chat_template"] == tokenizer.chat_template
    tokens = found["tokenizer.ggml.tokens"]
    assert tokens == tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    assert found["tokenizer.ggml.token_type"][:4] == [*[TokenType.CONTROL] * 3, TokenType.NORMAL]


def test_rows_of_a_head_that_turn_together_are_neighbours() -> None:
    rows = torch.arange(8).numpy()  # two heads of size 4: 0 turns with 2, 1 with 3
    assert permute(rows, 2).tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


def test_both_readers_see_the_same_four_bits() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(64, 256)).astype(np.float32)
    rows[0], rows[1] = 0, abs(rows[1])  # a block of zeros, one without a negative number
    data = quantize_q4_1(rows)
    ggml = dequantize(data, GGMLQuantizationType.Q4_1)
    scale, low = np.split(data.reshape(-1, 20)[:, :4].copy().view(np.float16), 2, axis=1)
    steps = np.rint(-low.astype(np.float32) / scale)  # what OpenVINO makes of it
    assert steps.min() >= 0 and steps.max() <= 15
    openvino = ggml.reshape(-1, 32) - low - steps * scale
    assert np.allclose(openvino.reshape(rows.shape), ggml, atol=2e-3)
    plain = dequantize(quantize(rows, GGMLQuantizationType.Q4_1), GGMLQuantizationType.Q4_1)
    assert np.square(ggml - rows).mean() < 1.05 * np.square(plain - rows).mean()


def test_another_architecture_is_refused_by_name(tmp_path: Path, model: Path) -> None:
    config = GPT2Config(vocab_size=512, n_embd=32, n_layer=1, n_head=2)
    folder = tmp_path / "model"
    GPT2LMHeadModel(config).save_pretrained(folder)
    shutil.copy(model / "tokenizer.json", folder)
    with pytest.raises(
        BadInput, match=r"unsupported architecture GPT2LMHeadModel .*convert_hf_to_gguf"
    ):
        to_gguf(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("tokenizer.json", {"pre_tokenizer": {"type": "Whitespace"}}, "unsupported pre-tokenizer"),
        ("tokenizer.json", {"model": {"type": "Unigram"}}, "Unigram, not byte-level BPE"),
        ("config.json", {"rope_parameters": {"rope_type": "yarn", "factor": 4.0}}, "'yarn'"),
    ],
)
def test_what_the_format_has_no_name_for_is_refused(
    tmp_path: Path, model: Path, name: str, change: dict[str, Any], message: str
) -> None:
    folder = shutil.copytree(model, tmp_path / "model")
    data = json.loads((folder / name).read_text("utf-8"))
    (folder / name).write_text(json.dumps(data | change), "utf-8")
    with pytest.raises(BadInput, match=message):
        to_gguf(folder, tmp_path / "out")


def test_a_wrong_type_and_an_empty_folder_say_what_to_do(tmp_path: Path, model: Path) -> None:
    with pytest.raises(BadInput, match=r"'Q9'.* Q8_0"):
        to_gguf(model, tmp_path / "out", type="Q9")  # type: ignore[arg-type]
    with pytest.raises(BadInput, match=r"config\.json is missing"):
        to_gguf(tmp_path, tmp_path / "out")
