"""A model as one GGUF file, which llama.cpp, Ollama and OpenVINO read.

It writes the decoder families of `_FAMILIES` with a byte-level BPE tokenizer; for others use
llama.cpp's converter. The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import gguf

from finetune_lora.export.vocabulary import add_vocabulary, refuse
from finetune_lora.model.base import Base

# A family's architecture in a GGUF, and whether its query and key rows are permuted there: ggml's
# rotary embedding for "llama" turns neighbouring pairs, transformers' turns halves.
_FAMILIES = {
    "LlamaForCausalLM": (gguf.MODEL_ARCH.LLAMA, True),
    "MistralForCausalLM": (gguf.MODEL_ARCH.LLAMA, True),
    "Qwen2ForCausalLM": (gguf.MODEL_ARCH.QWEN2, False),
    "Qwen3ForCausalLM": (gguf.MODEL_ARCH.QWEN3, False),
}


def write_gguf(base: Base, path: Path, type: str) -> None:
    """Write the model (float32) and the tokenizer of its folder to `path`.

    Matrices become `type`, F16 or Q8_0; vectors stay float32. Raises BadInput for an architecture
    or a tokenizer that cannot be written.
    """
    model, config = base.model, base.model.config
    name = model.__class__.__name__
    if name not in _FAMILIES:
        raise refuse(f"unsupported architecture {name} (supported: {', '.join(_FAMILIES)})")
    rope = config.rope_parameters.get("rope_type", "default")
    if rope != "default":
        raise refuse(f"unsupported rope_type {rope!r} of {name}")
    architecture, permuted = _FAMILIES[name]
    logging.getLogger("gguf").setLevel(logging.WARNING)  # it logs every file
    with closing(gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[architecture])) as writer:
        _add_numbers(writer, config, path.stem, type)
        add_vocabulary(writer, base, config.vocab_size)
        for tensor_name, rows in _tensors(model, architecture):
            if permuted and ".attn_q." in tensor_name:
                rows = permute(rows, config.num_attention_heads)
            elif permuted and ".attn_k." in tensor_name:
                rows = permute(rows, config.num_key_value_heads)
            kind = _kind(rows, type)
            writer.add_tensor(tensor_name, gguf.quantize(rows, kind), raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()


def permute(rows: Any, heads: int) -> Any:
    """Query or key rows (or their biases) from transformers' order to that of ggml's rotation.

    In a head of size d, rows i and i + d/2 turn together; ggml wants them beside each other.
    """
    halves = rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:])
    return halves.swapaxes(1, 2).reshape(rows.shape)


def _tensors(model: Any, architecture: Any) -> Iterator[tuple[str, Any]]:
    """The names in a GGUF and the values, as arrays, of a model's weights."""
    names = gguf.get_tensor_name_map(architecture, model.config.num_hidden_layers)
    for key, tensor in model.state_dict().items():
        if model.config.tie_word_embeddings and key == "lm_head.weight":
            continue  # without an output matrix, readers use the embeddings
        name = names.get_name(key, try_suffixes=(".weight", ".bias"))
        if name is None:
            raise refuse(f"unsupported tensor {key}")
        yield name, tensor.numpy()


def _kind(rows: Any, type: str) -> Any:
    """The type in which an array is stored."""
    kinds = gguf.GGMLQuantizationType
    if rows.ndim == 1:
        return kinds.F32
    if rows.shape[-1] % gguf.GGML_QUANT_SIZES[kinds[type]][0]:
        return kinds.F16  # blocks do not fill a row exactly
    return kinds[type]


def _add_numbers(writer: Any, config: Any, name: str, type: str) -> None:
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
