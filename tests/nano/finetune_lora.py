"""The route: the model answers, with its adapter if there is one."""

from pathlib import Path

import pytest
import torch
from fastapi.testclient import TestClient
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from tools.nano import app as program
from tools.nano import routes, server
from seedbed.models.weights.hf_folder import hf_folder


@pytest.mark.parametrize("trained", [False, True])
def test_requests_are_answered(
    trained: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(hf_folder("smollm2"))
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **sizes, **heads))
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    if trained:
        program.add_lora(model).save_pretrained(tmp_path / "adapter")
    monkeypatch.setenv("SEEDBED_MODEL", f"path:{tmp_path / 'model'}")
    monkeypatch.setattr(program, "NEW_TOKENS", 2)
    monkeypatch.setattr(routes, "OUTPUT", tmp_path)
    app = server.create_app()
    routes.add_routes(app)
    client = TestClient(app)
    assert isinstance(client.post("/answer", json={"request": "reset it"}).json(), str)
    assert client.post("/answer", json={"request": "a" * 1001}).status_code == 400
