"""OpenVINO files that any project opens by `path:DIR`, and texts that become the same tokens."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from finetune_fakes import tiny_adapter, tiny_base
from transformers import AutoTokenizer

from finetune_lora.export import export
from finetune_lora.export.openvino import same_tokens
from finetune_lora.model.adapter import load_adapter
from seedbed.errors import BadInput, ConfigError
from seedbed.models.load import load_chat_model
from seedbed.models.local.local_chat import LocalChatModel

OPTIONS = {"cache_tokens": 512}
REQUEST = "reset the password of anna"


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    return tiny_adapter(folder / "adapter", tiny_base(folder / "base"))


def answer(folder: Path) -> str:
    chat = load_chat_model(f"path:{folder}", engine_options=OPTIONS, max_tokens=8, temperature=0)
    assert isinstance(chat, LocalChatModel)
    assert chat.engine.context_window == 512
    return ascii_only(str(chat.invoke(REQUEST).content))


def with_transformers(adapter: Path) -> str:
    loaded = load_adapter(adapter, dtype="float32")
    chat = [{"role": "user", "content": REQUEST}]
    ids = loaded.tokenizer.apply_chat_template(
        chat, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    tokens = loaded.model.generate(**ids, max_new_tokens=8, do_sample=False)
    return ascii_only(loaded.tokenizer.decode(tokens[0, ids["input_ids"].shape[1] :]))


def ascii_only(text: str) -> str:
    """Half characters are shown in more than one way."""
    return re.sub(r"[^ -~]", "", text)


def test_trained_model_opens_by_its_path(tmp_path: Path, adapter: Path) -> None:
    out = Path(export(adapter, "openvino", tmp_path / "out", type="F16", force=False)["path"])
    assert {path.name for path in out.iterdir()} == {
        *("openvino_model.xml", "openvino_model.bin", "export.json", "config.json", "task.json"),
        *("openvino_tokenizer.xml", "openvino_tokenizer.bin", "generation_config.json"),
        *("openvino_detokenizer.xml", "openvino_detokenizer.bin"),
    }
    expected = with_transformers(adapter)
    assert expected
    assert answer(out) == expected


def test_text_that_becomes_other_tokens_is_refused(tmp_path: Path, adapter: Path) -> None:
    out = Path(export(adapter, "openvino", tmp_path / "out", force=False)["path"])
    tokenizer = AutoTokenizer.from_pretrained(adapter)
    same_tokens(tokenizer, out)
    data = json.loads((adapter / "tokenizer.json").read_text("utf-8"))
    data["model"]["merges"] = data["model"]["merges"][:5]
    tokenizer.save_pretrained(tmp_path / "other")
    (tmp_path / "other" / "tokenizer.json").write_text(json.dumps(data), "utf-8")
    with pytest.raises(BadInput, match="splits text differently"):
        same_tokens(AutoTokenizer.from_pretrained(tmp_path / "other"), out)


@pytest.mark.parametrize("to", ["merged", "gguf", "openvino"])
def test_exported_folder_contains_no_path_of_this_machine(
    tmp_path: Path, adapter: Path, to: str
) -> None:
    out = Path(export(adapter, to, tmp_path / "out", force=False)["path"])
    folder = out if out.is_dir() else out.parent
    for file in folder.iterdir():
        if file.name != "task.json":  # as the training wrote it
            content = file.read_bytes()
            paths = (tmp_path, adapter.parent)
            assert not any(str(path).encode() in content for path in paths), file.name


def test_unknown_format_or_type_is_refused(tmp_path: Path, adapter: Path) -> None:
    with pytest.raises(ConfigError, match=r"'onnx'.*openvino"):
        export(adapter, "onnx", force=False)
    with pytest.raises(BadInput, match=r"'Q8_0'.*bfloat16"):
        export(adapter, "merged", type="Q8_0", force=False)
    with pytest.raises(BadInput, match=r"config\.json is missing"):
        export(tmp_path, "gguf", tmp_path / "out", force=False)
