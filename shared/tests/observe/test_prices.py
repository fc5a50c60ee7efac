"""List prices of vendors' models."""

import pytest

from seedbed.observe.prices import price

pytest.importorskip("genai_prices")


@pytest.mark.parametrize(
    "spec", ["smollm2", "path:a/b", "openai:never-heard-of", "nobody:gpt-5", "openai:"]
)
def test_price_is_zero_for_local_and_unknown_models(spec: str) -> None:
    assert price(spec) == (0.0, 0.0)


@pytest.mark.parametrize(
    "spec", ["openai:gpt-4o-mini", "anthropic:claude-sonnet-5", "google_genai:gemini-2.5-pro"]
)
def test_price_of_a_vendor_model_is_higher_for_output(spec: str) -> None:
    price_in, price_out = price(spec)
    assert 0 < price_in < price_out


def test_price_ignores_the_date_in_a_model_name() -> None:
    assert price("openai:gpt-4o-mini-2024-07-18") == price("openai:gpt-4o-mini") == (0.15, 0.6)


def test_price_differs_between_variants_of_a_model() -> None:
    assert price("openai:gpt-5-pro") != price("openai:gpt-5")
