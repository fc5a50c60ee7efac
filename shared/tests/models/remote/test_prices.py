"""Prices and costs of models: listed, stated, free or unknown."""

import pytest

from seedbed.errors import ConfigError
from seedbed.models.remote.prices import Price, cost, price, require_price
from seedbed.settings import Settings

pytest.importorskip("genai_prices")  # of the extra `remote`, which some projects do without


@pytest.mark.parametrize(
    "spec", ["smollm2", "minilm", "path:a/b", "hf:org/model", "ollama:llama3.2", "scripted:a.json"]
)
def test_model_on_own_machine_is_free(spec: str) -> None:
    assert price(spec) == (0.0, 0.0)
    assert cost(spec, None) == 0.0


@pytest.mark.parametrize(
    "spec", ["openai:never-heard-of", "never-heard-of", "nobody:gpt-5", "openai:"]
)
def test_unknown_price_is_none_and_refuses_a_budget(spec: str) -> None:
    assert price(spec) is None
    assert cost(spec, {"input_tokens": 10, "output_tokens": 10}) is None
    with pytest.raises(ConfigError, match="SEEDBED_PRICES='"):
        require_price(spec)


@pytest.mark.parametrize(
    "spec",
    ["openai:gpt-4o-mini", "gpt-4o-mini", "anthropic:claude-sonnet-5", "claude-sonnet-5"],
)
def test_listed_price_is_found_with_and_without_the_provider(spec: str) -> None:
    price_in, price_out = require_price(spec)
    assert 0 < price_in < price_out
    assert price("openai:gpt-4o-mini-2024-07-18") == price("gpt-4o-mini") == (0.15, 0.6)


@pytest.mark.parametrize("key", ["openai:my-model", "my-model"])
def test_stated_price_is_used_for_price_and_cost(key: str) -> None:
    settings = Settings(prices={key: (2.0, 4.0), "openai:free": (0.0, 0.0)})
    assert require_price("openai:free", settings) == (0.0, 0.0)
    assert price("openai:my-model", settings) == Price(2.0, 4.0)
    usage = {"input_tokens": 500_000, "output_tokens": 250_000}
    assert cost("openai:my-model", usage, settings) == 2.0


def test_cost_charges_cached_tokens_at_their_own_price() -> None:
    usage = {"input_tokens": 1_000_000, "output_tokens": 0}
    cached = {**usage, "input_token_details": {"cache_read": 1_000_000}}
    assert cost("openai:gpt-4o-mini", usage) == 0.15
    assert cost("openai:gpt-4o-mini", cached) == 0.075
