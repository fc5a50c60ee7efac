"""List prices of vendors' models, to estimate costs.

    price("openai:gpt-4o-mini")    # (0.15, 0.6): USD per million input and output tokens

The prices come from the package `genai-prices` (extra `remote`), which is updated when vendors
change them. Discounts, cached tokens and long prompts are ignored, so an invoice will differ.
"""

from __future__ import annotations

from functools import lru_cache

# LangChain's provider → the one of `genai-prices`, where they differ.
_PROVIDERS = {
    "google_genai": "google",
    "google_vertexai": "google",
    "mistralai": "mistral",
    "xai": "x-ai",
    "bedrock": "aws",
}


@lru_cache
def price(spec: str) -> tuple[float, float]:
    """The price of a model in USD per million input and per million output tokens.

    (0, 0) for local models, for models without a list price, and if `genai-prices` is missing.

    >>> price("smollm2")
    (0.0, 0.0)
    """
    provider, separator, model = spec.partition(":")
    if not separator or provider in ("hf", "path", "scripted", "local"):
        return 0.0, 0.0
    try:
        from genai_prices import Usage, calc_price
    except ImportError:
        return 0.0, 0.0
    thousand = Usage(input_tokens=1000, output_tokens=1000)
    try:
        cost = calc_price(thousand, model, provider_id=_PROVIDERS.get(provider, provider))
    except LookupError:
        return 0.0, 0.0
    return float(cost.input_price * 1000), float(cost.output_price * 1000)
