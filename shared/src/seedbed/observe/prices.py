"""List prices of vendors' models, for estimates of cost; local models cost nothing.

The prices come from the package `genai-prices` (extra `remote`), which is updated as vendors change
them. They are an estimate, not an invoice.
"""

from __future__ import annotations

from functools import lru_cache

# LangChain's names of providers whose name in `genai-prices` differs.
_PROVIDERS = {
    "google_genai": "google",
    "google_vertexai": "google",
    "mistralai": "mistral",
    "xai": "x-ai",
    "bedrock": "aws",
}


@lru_cache
def price(spec: str) -> tuple[float, float]:
    """USD per million input and output tokens of the model `spec`, for short prompts.

    (0, 0) for local models, for models without a known list price, and where `genai-prices` is not
    installed.

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
