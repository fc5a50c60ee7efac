"""The edition of one file: what is learned, what counts as right, and that training works."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from seedbed.models.weights.hf_folder import hf_folder
from seedbed.testing.launch import import_file

nano = import_file(Path(__file__).parents[1] / "nano.py")
EXAMPLE = ("reset my vpn password, user anna", '{"name": "reset_password"}')


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(hf_folder("smollm2"))


@pytest.fixture
def tiny(tokenizer: Any) -> Any:
    """A model with random weights, of two narrow layers."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **sizes, **heads))


def test_only_answer_is_learned(tokenizer: Any) -> None:
    ids, labels = nano.encode(tokenizer, EXAMPLE)
    learned = [label for label in labels if label != -100]
    assert tokenizer.decode(learned) == EXAMPLE[1] + tokenizer.eos_token
    assert ids[-len(learned) :] == learned
    assert EXAMPLE[0] in tokenizer.decode(ids[: -len(learned)])
    assert nano.encode(tokenizer, ("word " * 400, "{}")) is None


def test_requests_of_the_test_are_not_trained() -> None:
    test = [("Reset  my password", "{}")]
    assert nano.without_test([("reset my password", "{}"), EXAMPLE], test) == [EXAMPLE]
    everything = nano.read_examples(nano.DATA / "handwritten.jsonl")
    train = nano.read_examples(nano.DATA / "train.jsonl")
    assert len(everything) == 130
    assert len(nano.without_test(train, everything)) > 5000


def test_one_user_and_one_assistant_message_are_read(tmp_path: Path) -> None:
    roles = ("system", "user", "assistant")
    messages = [{"role": role, "content": f"text of {role}"} for role in roles]
    (path := tmp_path / "a.jsonl").write_text(json.dumps({"messages": messages}))
    assert nano.read_examples(path) == [("text of user", "text of assistant")]
    for refused in (messages[:2], [*messages, messages[1]]):
        path.write_text(json.dumps({"messages": refused}))
        with pytest.raises(SystemExit, match="line 1: not one user and one assistant"):
            nano.read_examples(path)


def test_call_is_right_as_a_whole() -> None:
    expected = '{"a": 1, "b": [1]}'
    right = ['{"b": [1], "a": 1}', '{"a":1,"b":[1]}']
    wrong = ['{"a": 1}', '{"a": 1, "b": [1]} and', ""]
    assert all(nano.is_right(expected, text) for text in right)
    assert not any(nano.is_right(expected, text) for text in wrong)


def test_interval_is_wilsons() -> None:
    assert nano.interval(0.5, 100) == "50 % (40 to 60 %)"
    assert nano.interval(1.0, 10) == "100 % (72 to 100 %)"
    assert nano.interval(0.0, 10) == "0 % (0 to 28 %)"


def test_training_lowers_loss_and_changes_lora_only(tokenizer: Any, tiny: Any) -> None:
    before = {name: p.clone() for name, p in tiny.named_parameters()}
    model = nano.add_lora(tiny)
    row = nano.encode(tokenizer, EXAMPLE)
    losses = nano.train(model, nano.batches([row], tokenizer.pad_token_id), 60, steps=40)
    assert losses[-1] < losses[0]
    after = {
        name.replace(".base_layer", ""): p for name, p in model.base_model.model.named_parameters()
    }
    assert all(torch.equal(after[name], value) for name, value in before.items())
    (text,) = nano.answer(model, tokenizer, [EXAMPLE[0]])
    assert isinstance(text, str)


def test_batch_pads_shorter_rows() -> None:
    rows = [([1, 2, 3], [-100, 2, 3]), ([4], [4])]
    batch = next(nano.batches(rows, pad=0))
    row = batch["input_ids"].tolist().index([4, 0, 0])
    assert batch["labels"][row].tolist() == [4, -100, -100]
    assert batch["attention_mask"][row].tolist() == [1, 0, 0]


def test_model_behind_api_is_refused() -> None:
    with pytest.raises(SystemExit, match="cannot be trained here"):
        nano.load_model("openai:gpt-4o-mini")


def test_run_trains_model_of_a_folder_and_saves_adapter(
    tokenizer: Any,
    tiny: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tiny.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    monkeypatch.setenv("SEEDBED_MODEL", f"path:{tmp_path / 'model'}")
    monkeypatch.setattr(nano, "OUTPUT", tmp_path)
    monkeypatch.setattr(nano, "NEW_TOKENS", 2)
    rows = [{"prompt": f"ping {n}", "completion": f'{{"ping": {n}}}'} for n in range(20)]
    for name, part in (("train", rows[:16]), ("test", rows[16:])):
        text = "".join(json.dumps(row) + "\n" for row in part)
        (tmp_path / f"{name}.jsonl").write_text(text, "utf-8")
    files = ["--train", str(tmp_path / "train.jsonl"), "--test", str(tmp_path / "test.jsonl")]
    monkeypatch.setattr("sys.argv", ["nano.py", *files, "--minutes", "60", "--steps", "3"])
    nano.main()
    output = capsys.readouterr().out
    assert "before: 0 % (0 to 49 %) of 4 calls are right" in output
    assert "after 3 steps" in output
    assert (tmp_path / "adapter" / "adapter_model.safetensors").exists()
