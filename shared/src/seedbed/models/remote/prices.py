"""What a model costs: vendors' list prices, prices from your settings, and the cost of one call.

    price("openai:gpt-4o-mini")    # Price(input=0.15, output=0.6): USD per million tokens
    price("gpt-4o-mini")           # the same, by the model's bare name
    price("openai:my-model")       # None: unknown, never 0
    require_price("openai:my-model")    # ConfigError that names SEEDBED_PRICES

List prices come from the package `genai-prices`, which is updated when vendors change them.
Discounts and surcharges for long prompts are ignored, so an invoice can differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from seedbed.errors import ConfigError
from seedbed.models.weights.catalog import Spec
from seedbed.settings import Settings, load, variable

# LangChain's provider → the one of `genai-prices`, where they differ.
_PROVIDERS = {
    "google_genai": "google",
    "google_vertexai": "google",
    "mistralai": "mistral",
    "xai": "x-ai",
    "bedrock": "aws",
}


class Price(NamedTuple):
    """USD per million input tokens and per million output tokens."""

    input: float
    output: float


def price(spec: Spec | str, settings: Settings | None = None) -> Price | None:
    """The price of a model: from SEEDBED_PRICES, or else the vendor's list price.

    Models on your own machines cost nothing. None if the price is unknown.
    """
    spec = Spec.of(spec)
    if spec.is_free:
        return Price(0.0, 0.0)
    if stated := _stated(spec, settings):
        return stated
    usd = _list_cost(spec, input_tokens=1000, output_tokens=1000)
    return usd and Price(usd[0] * 1000, usd[1] * 1000)


def require_price(spec: Spec | str, settings: Settings | None = None) -> Price:
    """Like `price`, but raises ConfigError if the price is unknown; for budgets in USD."""
    usd = price(spec, settings)
    if usd is None:
        raise ConfigError(
            f"The price of '{spec}' is unknown, so no budget in USD can be kept.",
            hint=f"State it in USD per million input and output tokens: "
            f"{variable(Settings, 'prices')}='{{\"{spec}\": [0.5, 1.5]}}'.",
        )
    return usd


def cost(
    spec: Spec | str, usage: Mapping[str, Any] | None, settings: Settings | None = None
) -> float | None:
    """USD for the tokens of LangChain's `usage_metadata`; None if tokens or price are unknown.

    Tokens read from the vendor's cache are charged at their own list price.
    """
    spec = Spec.of(spec)
    if spec.is_free:
        return 0.0
    if not usage:
        return None
    tokens = {name: usage.get(name) or 0 for name in ("input_tokens", "output_tokens")}
    if stated := _stated(spec, settings):
        usd = (tokens["input_tokens"] * stated.input, tokens["output_tokens"] * stated.output)
        return round(sum(usd) / 1e6, 12)
    details = usage.get("input_token_details") or {}
    for name, key in (("cache_read", "cache_read"), ("cache_write", "cache_creation")):
        if details.get(key):
            tokens[f"{name}_tokens"] = details[key]
    parts = _list_cost(spec, **tokens)
    return parts and round(sum(parts), 12)


def _stated(spec: Spec, settings: Settings | None) -> Price | None:
    prices = (settings or load(Settings)).prices
    usd = prices.get(str(spec)) or prices.get(spec.name)
    return usd and Price(*usd)


@lru_cache(maxsize=1024)
def _list_cost(spec: Spec, **tokens: int) -> tuple[float, float] | None:
    """USD for input and output at the vendor's list price."""
    try:
        from genai_prices import Usage, calc_price
    except ImportError:  # the extra `remote` has it
        return None
    vendor = _PROVIDERS.get(spec.provider, spec.provider) or None
    try:
        parts = calc_price(Usage(**tokens), spec.name, provider_id=vendor)
    except LookupError:
        return None
    return float(parts.input_price), float(parts.output_price)
