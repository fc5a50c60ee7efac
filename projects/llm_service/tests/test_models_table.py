"""The table of models: what a file means, and what each mistake in one is told as."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from llm_service.models.entry import ModelEntry
from llm_service.models.table import Table
from seedbed.errors import BadInput, ConfigError, NotFound
from seedbed.settings import Settings

WHOLE = """
default = "best"

[models.small]
backend = "local"
spec = "smollm2"

[models.big]
backend = "openai"
base_url = "http://127.0.0.1:9101/v1/"
model = "gpt-4o-mini"
api_key_env = "BIG_KEY"
timeout = 5
defaults = { temperature = 0.2 }

[models.claude]
backend = "openai"
base_url = "https://api.anthropic.com/v1"
model = "gpt-4o"
price_out = 7

[models.minilm]
backend = "local"

[routes.best]
targets = [{ model = "big", weight = 3 }, "claude"]
fallback = ["small"]
retries = 1

[guardrails]
pii_in = "redact"
pii_kinds = ["email", "card"]
blocked_terms_file = "terms.txt"
max_tokens = 512

[experiments.tone]
model = "best"
variants = [{ name = "a" }, { name = "b", weight = 2, model = "small", prompt = "b.md" }]

[cache]
shared = true
"""


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Table]:
    monkeypatch.setenv("BIG_KEY", "secret")
    (tmp_path / "terms.txt").write_text("word\n")
    (tmp_path / "b.md").write_text("version: 1\nBe brief.\n")

    def read(text: str) -> Table:
        path = tmp_path / "models.toml"
        path.write_text(text)
        return Table.load(path, Settings())

    return read


def test_a_whole_file(load: Callable[[str], Table], tmp_path: Path) -> None:
    table = load(WHOLE)
    assert table.default == "best"
    assert table.names() == ["small", "big", "claude", "minilm", "best"]
    route = table.resolve("best")
    assert [(t.model, t.weight) for t in route.targets] == [("big", 3), ("claude", 1)]
    assert (route.fallback, route.retries) == (("small",), 1)
    assert table.models["big"].base_url == "http://127.0.0.1:9101/v1"
    assert table.models["big"].api_key == "secret"
    assert table.guardrails.pii_kinds == ("email", "card")
    assert table.guardrails.blocked_terms_file == tmp_path / "terms.txt"
    assert table.experiments["tone"].variants[1].prompt == tmp_path / "b.md"
    assert table.cache.shared
    assert "secret" not in repr(table)


def test_names_lead_to_routes_of_their_kind(load: Callable[[str], Table]) -> None:
    table = load(WHOLE)
    assert [t.model for t in table.resolve("small", "chat").targets] == ["small"]
    assert table.kind("minilm") == "embedding"
    assert table.default_embedding == "minilm"
    with pytest.raises(NotFound, match=r"'nope'.*small, big, claude"):
        table.resolve("nope")
    with pytest.raises(BadInput, match="/v1/embeddings"):
        table.resolve("minilm", "chat")
    with pytest.raises(BadInput, match="/v1/chat/completions"):
        table.resolve("best", "embedding")


def test_prices_come_from_the_entry_or_the_catalogue(load: Callable[[str], Table]) -> None:
    table = load(WHOLE)
    assert table.cost("big", 1_000_000, 1_000_000) == pytest.approx(0.15 + 0.60)
    assert table.cost("claude", 1_000_000, 1_000_000) == pytest.approx(2.5 + 7)
    assert table.cost("small", 1000, 1000) == 0
    assert table.cost("nope", 1000, 1000) == 0


def test_local_chat_models_are_greedy_unless_told_otherwise(load: Callable[[str], Table]) -> None:
    table = load(WHOLE + "[models.warm]\nbackend='local'\ndefaults={temperature=1, top_p=0.5}")
    assert table.models["small"].defaults == {"temperature": 0}
    assert table.models["warm"].defaults == {"temperature": 1, "top_p": 0.5}
    assert table.models["minilm"].defaults == {}
    assert table.models["small"].context_window == 8192
    assert (table.models["small"].timeout, table.models["claude"].timeout) == (600, 60)


def test_a_route_may_stand_before_the_model_of_its_name(load: Callable[[str], Table]) -> None:
    table = load(
        "[models.a]\nbackend='local'\n[models.b]\nbackend='local'\n"
        "[routes.a]\ntargets=['a']\nfallback=['b']"
    )
    assert table.resolve("a").fallback == ("b",)
    assert table.default == "a"


def test_without_a_file_the_models_of_the_settings_are_served() -> None:
    table = Table.load(None, Settings())
    assert table.names() == ["smollm2", "minilm"]
    assert table.default == "smollm2"
    assert table.models["smollm2"].backend == "local"
    assert table.kind("minilm") == "embedding"


def test_remote_specs_become_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")

    def chat(spec: str, **more: str) -> ModelEntry:
        table = Table.load(None, Settings(model=spec, **more))
        return table.models[table.default]

    entry = chat("openai:gpt-4o")
    assert (entry.name, entry.base_url) == ("gpt-4o", "https://api.openai.com/v1")
    assert (entry.api_key_env, entry.prices) == ("OPENAI_API_KEY", (2.5, 10.0))
    assert chat("hf:ORG/REPO").name == "REPO"
    monkeypatch.delenv("OPENAI_API_KEY")
    entry = chat("openai:stub", base_url="http://127.0.0.1:9101/v1")
    assert (entry.base_url, entry.api_key_env) == ("http://127.0.0.1:9101/v1", "")
    with pytest.raises(ConfigError, match=r"SEEDBED_MODEL='openai:x'.*OPENAI_API_KEY"):
        chat("openai:x")
    with pytest.raises(ConfigError, match="SEEDBED_MODEL='smolm2': unknown model"):
        chat("smolm2")


def test_a_folder_without_openvino_or_gguf_files_is_rejected_with_the_export(
    tmp_path: Path,
) -> None:
    merged = tmp_path / "merged"
    merged.mkdir()
    (merged / "model.safetensors").touch()
    with pytest.raises(ConfigError, match=rf"SEEDBED_MODEL='path:{merged}': .*--to openvino"):
        Table.load(None, Settings(model=f"path:{merged}"))
    (merged / "model.gguf").touch()
    assert Table.load(None, Settings(model=f"path:{merged}")).default == "merged"


A = "[models.a]\nbackend='local'\n"
UP = "[models.a]\nbackend='openai'\n"
MISTAKES = {
    "not TOML": ("models = ", "invalid TOML"),
    "nothing": ("", "models: Field required"),
    "a wrong backend": ("[models.a]\nbackend='vllm'", "[models.a] backend='vllm': Input should be"),
    "a wrong field": (A + "basurl='x'", "[models.a] basurl: unknown field"),
    "an odd name": ("[models.'a b']\nbackend='local'", "[models.a b] String should match"),
    "a name inside": (A + "name='b'", "[models.a] name: the name is taken from the table header"),
    "no address": (UP, "[models.a] base_url: required; add base_url ="),
    "an address with a key": (UP + "base_url='http://u:sk-abcdef@h/v1'", "[models.a] base_url="),
    "a key that is not set": (
        UP + "base_url='http://h/v1'\napi_key_env='NOT_SET'",
        "[models.a] api_key_env: the environment variable NOT_SET is not set; export NOT_SET=",
    ),
    "a key in the file": (UP + "api_key='sk-abcdef'", "[models.a] api_key: keys must not be"),
    "an address of a local model": (A + "base_url='http://h'", "[models.a] base_url: only allowed"),
    "a spec of an upstream": (
        UP + "base_url='http://h'\nspec='x'",
        "[models.a] spec: only allowed",
    ),
    "a default that is no parameter": (A + "defaults={stream=true}", "[models.a] defaults={"),
    "a default that JSON can't say": (A + "defaults={x=2026-01-01}", "[models.a] defaults={"),
    "a route to nothing": (A + "[routes.r]\ntargets=['z']", "[routes.r] targets='z': unknown"),
    "a route to a route": (
        A + "[routes.r]\ntargets=['a']\n[routes.s]\ntargets=['r']",
        "[routes.s] targets='r': must be a model, not a route",
    ),
    "a target twice": (
        A + "[routes.r]\ntargets=['a']\nfallback=['a']",
        "[routes.r] targets, fallback: duplicate model 'a'",
    ),
    "two kinds in a route": (
        A + "[models.minilm]\nbackend='local'\n[routes.r]\ntargets=['a','minilm']",
        "[routes.r] targets, fallback: models of different kinds: a is chat, minilm is embedding",
    ),
    "terms that are not there": (
        A + "[guardrails]\nblocked_terms_file='no.txt'",
        "blocked_terms_file='no.txt': file not found",
    ),
    "an experiment on nothing": (
        A + "[experiments.e]\nmodel='z'\nvariants=[{name='x'}]",
        "[experiments.e] model='z': unknown model",
    ),
    "two variants of a name": (
        A + "[experiments.e]\nmodel='a'\nvariants=[{name='x'}, {name='x'}]",
        "[experiments.e] variants: duplicate name 'x'",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_each_mistake_is_one_line_that_says_where(
    load: Callable[[str], Table], mistake: str
) -> None:
    text, says = MISTAKES[mistake]
    with pytest.raises(ConfigError) as caught:
        load(text)
    message = str(caught.value)
    assert says in message
    assert "models.toml: " in message
    assert "\n" not in message
    assert "sk-abcdef" not in message


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no\.toml: cannot be read: No such file"):
        Table.load(tmp_path / "no.toml", Settings())
    (tmp_path / "odd.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="invalid TOML"):
        Table.load(tmp_path / "odd.toml", Settings())
