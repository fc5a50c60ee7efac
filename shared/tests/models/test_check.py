"""The check of a model before a server starts: its package and its key, which it never imports."""

import subprocess
import sys

import pytest

from seedbed.errors import ConfigError, MissingExtra
from seedbed.models.load import check_chat_model, load_chat_model, local_models
from seedbed.settings import Settings


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("langchain_openai")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def test_check_requires_the_key_of_the_vendor(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"OPENAI_API_KEY is not set.*export OPENAI_API_KEY=…"):
        check_chat_model("openai:gpt-4o-mini", settings=Settings(base_url=None))
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    assert check_chat_model("openai:gpt-4o-mini", settings=Settings(base_url=None)) is None


def test_check_requires_no_key_for_a_server_of_your_own() -> None:
    settings = Settings(base_url="http://127.0.0.1:9/v1")
    assert check_chat_model("openai:own", settings=settings) is None


def test_check_names_the_package_of_another_vendor_and_covers_fallbacks() -> None:
    with pytest.raises(MissingExtra, match="-m pip install langchain-deepseek"):
        check_chat_model("scripted:a.json,deepseek:chat", settings=Settings(base_url=None))


def test_blanks_around_a_spec_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    model = load_chat_model("openai:gpt-4o-mini ", settings=Settings(base_url=None))
    assert model.model_name == "openai:gpt-4o-mini"  # type: ignore[attr-defined]


def test_check_uses_the_setting_and_accepts_scripts_and_local_models() -> None:
    assert check_chat_model("scripted:replies.jsonl") is None
    for name in local_models():
        assert check_chat_model(settings=Settings(model=name)) is None


@pytest.mark.skipif(bool(local_models()), reason="this copy has local models")
@pytest.mark.parametrize("check", [check_chat_model, load_chat_model])
def test_copy_with_remote_models_refuses_local_ones(check: object) -> None:
    with pytest.raises(ConfigError, match="remote models only; 'smollm2'"):
        check("smollm2")  # type: ignore[operator]


def test_check_imports_neither_langchain_nor_the_client() -> None:
    code = (
        "import os, sys; os.environ['OPENAI_API_KEY'] = 'key'\n"
        "from seedbed.models.load import check_chat_model\n"
        "check_chat_model('openai:gpt-4o-mini')\n"
        "print([m for m in ('langchain', 'langchain_core', 'openai') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "[]\n", done.stderr
