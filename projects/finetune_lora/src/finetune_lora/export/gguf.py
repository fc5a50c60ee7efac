"""A Hugging Face folder as one GGUF file, which llama.cpp, Ollama and OpenVINO read.

It writes the decoder families of `_FAMILIES` with a byte-level BPE tokenizer; for others use
llama.cpp's converter. Tensors pass through memory one at a time, except those calibrated by GPTQ.
The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path
from typing import Any, Literal, get_args

from finetune_lora.example import Example
from finetune_lora.export.folders import export_folder
from finetune_lora.export.four_bits import quantize_q4_1
from finetune_lora.export.gptq import quantize_on
from finetune_lora.export.merge import is_adapter, merge
from finetune_lora.export.vocabulary import add_vocabulary, refuse
from seedbed.errors import BadInput

Type = Literal["F16", "Q8_0", "Q4_1", "Q4_0"]
TYPES: tuple[str, ...] = get_args(Type)
BESIDE = ("config.json", "generation_config.json")  # the context window, for one

# A family's name in a GGUF, and whether its query and key rows are permuted there: ggml's rotary
# embedding for "llama" turns neighbouring pairs, transformers' turns halves.
_FAMILIES = {
    "LlamaForCausalLM": ("llama", True),
    "MistralForCausalLM": ("llama", True),
    "Qwen2ForCausalLM": ("qwen2", False),
    "Qwen3ForCausalLM": ("qwen3", False),
}


def to_gguf(
    source: Path,
    out: Path,
    *,
    type: Type = "Q8_0",
    examples: Sequence[Example] = (),
    force: bool = False,
) -> Path:
    """Write `source` (a merged folder or an adapter) into the folder `out`; the .gguf's path.

    Matrices become `type`; norms stay float32, and 4-bit types keep the embeddings at Q8_0, which
    is the mixture of the packaged SmolLM2. Q4_1 is chosen so that answers to `examples` stay as
    they are; without any, each weight is rounded by itself. `config.json`, beside the file, gives
    `SEEDBED_MODEL=path:OUT` its context window. Raises BadInput for an architecture, a tokenizer
    or a type that cannot be written, DiskError when the disk is full.
    """
    if type not in TYPES:
        raise BadInput(f"Unknown type {type!r}.", hint=f"Available: {', '.join(TYPES)}.")
    facts = {"kind": "gguf", "source": str(source), "type": type}
    name = f"model-{type}.gguf"
    with export_folder(out, facts, force=force) as scratch, merged(source, scratch) as folder:
        _write(folder, scratch / name, type, out.name, examples)
        for beside in BESIDE:
            if (folder / beside).exists():
                shutil.copyfile(folder / beside, scratch / beside)
    return out / name


@contextmanager
def merged(source: Path, scratch: Path) -> Iterator[Path]:
    """The folder itself, or, for an adapter, its merged model in `scratch` for this block."""
    if not is_adapter(source):
        if not (source / "config.json").exists():
            raise BadInput(
                f"{source} does not contain a model: config.json is missing.",
                hint="Use the folder of an adapter, or one written by `--to merged`.",
            )
        yield source
        return
    folder = merge(source, scratch / "merged", dtype="float32")
    yield folder
    shutil.rmtree(folder)


def _config(folder: Path) -> Any:
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(folder)
    except (OSError, ValueError, KeyError) as error:
        raise BadInput(f"{folder / 'config.json'} is not a valid model config: {error}") from error
    name = (config.architectures or [type(config).__name__])[0]
    if name not in _FAMILIES:
        raise refuse(f"unsupported architecture {name} (supported: {', '.join(_FAMILIES)})")
    rope = config.rope_parameters.get("rope_type", "default")
    if rope != "default":
        raise refuse(f"unsupported rope_type {rope!r} of {name}")
    return config


def _write(folder: Path, path: Path, type: Type, name: str, examples: Sequence[Example]) -> None:
    import gguf
    import numpy as np

    config = _config(folder)
    logging.getLogger("gguf").setLevel(logging.WARNING)  # it logs every file
    float32 = np.dtype("float32")  # the writer wants one; what counts is raw_dtype
    family, permuted = _FAMILIES[config.architectures[0]]
    with ExitStack() as files, closing(gguf.GGUFWriter(path, family)) as writer:
        tensors = list(_tensors(folder, config, family, files))
        _add_numbers(writer, config, name, type)
        add_vocabulary(writer, folder, config.vocab_size)
        # Takes a minute, so it comes after everything that may be refused.
        calibrated = quantize_on(folder, examples) if type == "Q4_1" and examples else {}
        for tensor in tensors:
            kind = _kind(tensor, type)
            size = prod(gguf.quant_shape_to_byte_shape(tensor.shape, kind))
            writer.add_tensor_info(tensor.name, tensor.shape, float32, size, raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for tensor in tensors:
            kind = _kind(tensor, type)
            if tensor.key in calibrated:
                rows = calibrated[tensor.key]
            elif kind == gguf.GGMLQuantizationType.Q4_1:
                rows = quantize_q4_1(tensor.read())
            else:
                rows = gguf.quantize(tensor.read(), kind)
            if permuted and ".attn_q." in tensor.name:
                rows = permute(rows, config.num_attention_heads)
            elif permuted and ".attn_k." in tensor.name:
                rows = permute(rows, config.num_key_value_heads)
            writer.write_tensor_data(rows)


def permute(rows: Any, heads: int) -> Any:
    """Query or key rows (or their biases) from transformers' order to that of ggml's rotation.

    In a head of size d, rows i and i + d/2 turn together; ggml wants them beside each other.
    """
    halves = rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:])
    return halves.swapaxes(1, 2).reshape(rows.shape)


@dataclass(frozen=True)
class _Tensor:
    """`key` of a checkpoint and its name in a GGUF; `read` gives it as a float32 array."""

    key: str
    name: str
    shape: tuple[int, ...]
    read: Callable[[], Any]


def _tensors(folder: Path, config: Any, family: str, files: ExitStack) -> Iterator[_Tensor]:
    import gguf
    from safetensors import SafetensorError, safe_open

    architecture = next(a for a, name in gguf.MODEL_ARCH_NAMES.items() if name == family)
    names = gguf.get_tensor_name_map(architecture, config.num_hidden_layers)
    shards = sorted(folder.glob("*.safetensors"))
    if not shards:
        raise BadInput(
            f"{folder} does not contain a .safetensors file.", hint="Save the model as safetensors."
        )
    for path in shards:
        try:
            shard = files.enter_context(safe_open(path, framework="pt"))
        except SafetensorError as error:
            raise BadInput(
                f"Cannot read {path}: {error}.", hint="Export the model again."
            ) from error
        for key in shard.keys():  # noqa: SIM118 (not a dict)
            if config.tie_word_embeddings and key == "lm_head.weight":
                continue  # readers take the embeddings where there is no output matrix
            name = names.get_name(key, try_suffixes=(".weight", ".bias"))
            if name is None:
                raise refuse(f"unsupported tensor {key}")
            shape = tuple(shard.get_slice(key).get_shape())
            yield _Tensor(key, name, shape, partial(_read, shard, key))


def _read(shard: Any, key: str) -> Any:
    return shard.get_tensor(key).float().numpy()


def _kind(tensor: _Tensor, type: Type) -> Any:
    """What a tensor is written as: vectors stay exact, 4-bit types spare the embeddings."""
    import gguf

    kinds = gguf.GGMLQuantizationType
    if len(tensor.shape) == 1:
        return kinds.F32
    if tensor.shape[-1] % gguf.GGML_QUANT_SIZES[kinds[type]][0]:
        return kinds.F16  # a row that blocks do not fill exactly
    spared = type.startswith("Q4") and tensor.name in ("token_embd.weight", "output.weight")
    return kinds.Q8_0 if spared else kinds[type]


def _add_numbers(writer: Any, config: Any, name: str, type: Type) -> None:
    import gguf

    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer.add_type("model")
    writer.add_name(name)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_rope_dimension_count(head)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_file_type(gguf.LlamaFileType[f"MOSTLY_{type}"])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
