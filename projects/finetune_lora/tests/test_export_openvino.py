"""OpenVINO files that any project opens by `path:DIR`, and texts that become the same tokens."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from finetune_fakes import tiny_adapter, tiny_base

from finetune_lora.export import export
from finetune_lora.export.gguf import to_gguf
from finetune_lora.export.merge import merge
from finetune_lora.export.openvino import same_tokens, to_openvino
from finetune_lora.model.adapter import load_adapter
from seedbed.errors import BadInput, ConfigError
from seedbed.models.load import load_chat_model
from seedbed.models.local.local_chat import LocalChatModel

OPTIONS = {"cache_tokens": 512}
ASKED = "reset the password of anna"


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    return tiny_adapter(folder / "adapter", tiny_base(folder / "base"))


def answer(folder: Path) -> str:
    chat = load_chat_model(f"path:{folder}", engine_options=OPTIONS, max_tokens=8, temperature=0)
    assert isinstance(chat, LocalChatModel)
    assert chat.engine.context_window == 512
    return str(chat.invoke(ASKED).content)


def with_transformers(adapter: Path) -> str:
    loaded = load_adapter(adapter, dtype="float32")
    chat = [{"role": "user", "content": ASKED}]
    ids = loaded.tokenizer.apply_chat_template(
        chat, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    made = loaded.model.generate(**ids, max_new_tokens=8, do_sample=False)
    return str(loaded.tokenizer.decode(made[0, ids["input_ids"].shape[1] :]))


def ascii_only(text: str) -> str:
    """Half characters are shown in more than one way."""
    return re.sub(r"[^ -~]", "", text)


@pytest.mark.parametrize("kind", ["adapter", "merged", "gguf"])
def test_what_was_trained_opens_by_its_path(tmp_path: Path, adapter: Path, kind: str) -> None:
    source = adapter
    if kind == "merged":
        source = merge(adapter, tmp_path / "merged", dtype="float32")
    elif kind == "gguf":
        source = to_gguf(adapter, tmp_path / "gguf", type="F16").parent
    out = to_openvino(source, tmp_path / "out", type="F16")
    assert {path.name for path in out.iterdir()} == {
        *("openvino_model.xml", "openvino_model.bin", "export.json", "config.json"),
        *("openvino_tokenizer.xml", "openvino_tokenizer.bin", "generation_config.json"),
        *("openvino_detokenizer.xml", "openvino_detokenizer.bin"),
    }
    assert json.loads((out / "export.json").read_text())["kind"] == "openvino"
    expected = ascii_only(with_transformers(adapter))
    assert expected
    assert ascii_only(answer(out)) == expected
    if kind == "gguf":
        assert answer(source) == answer(out)  # no need to convert it


def test_text_that_becomes_other_tokens_is_refused(tmp_path: Path, adapter: Path) -> None:
    out = to_openvino(to_gguf(adapter, tmp_path / "gguf", type="F16"), tmp_path / "out")
    same_tokens(adapter, out)
    data = json.loads((adapter / "tokenizer.json").read_text("utf-8"))
    data["model"]["merges"] = data["model"]["merges"][:5]
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "tokenizer.json").write_text(json.dumps(data), "utf-8")
    (tmp_path / "other" / "tokenizer_config.json").write_text(
        (adapter / "tokenizer_config.json").read_text("utf-8")
    )
    with pytest.raises(BadInput, match="splits text differently"):
        same_tokens(tmp_path / "other", out)


def test_a_file_that_is_no_gguf_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="File not found"):
        to_openvino(tmp_path / "absent.gguf", tmp_path / "out")
    (tmp_path / "model.gguf").write_text("hello")
    with pytest.raises(BadInput, match=r"model\.gguf"):
        to_openvino(tmp_path / "model.gguf", tmp_path / "out")


def test_the_verb_chooses_a_place_in_the_run_and_says_what_comes_next(adapter: Path) -> None:
    result = export(adapter, "gguf", type="Q8_0", force=False)
    assert result["path"] == str(adapter / "model" / "model-Q8_0.gguf")
    assert f"path:{adapter / 'model'}" in result["next"]
    assert result["type"] == "Q8_0" and result["megabytes"] > 0
    with pytest.raises(ConfigError, match=r"'onnx'.*openvino"):
        export(adapter, "onnx", force=False)
    with pytest.raises(BadInput, match=r"'Q8_0'.*bfloat16"):
        export(adapter, "merged", type="Q8_0", force=False)
