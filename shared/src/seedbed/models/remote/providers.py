"""Facts about providers that LangChain's integrations do not tell before a call."""

from __future__ import annotations

# Providers whose package or key variable does not follow from the name; "" needs no key.
_PACKAGES = {"azure_openai": "langchain_openai", "bedrock": "langchain_aws"}
_KEYS = {
    "google_genai": "GOOGLE_API_KEY",
    "mistralai": "MISTRAL_API_KEY",
    "ollama": "",
    "bedrock": "",
}


def key_variable(spec: str) -> str:
    """The environment variable that has the API key of a spec's provider; "" if it needs none.

    >>> key_variable("openai:gpt-4o-mini"), key_variable("google_genai:gemini-2.5-flash")
    ('OPENAI_API_KEY', 'GOOGLE_API_KEY')
    """
    provider = spec.partition(":")[0]
    return _KEYS.get(provider, f"{provider.upper()}_API_KEY")


def package(spec: str) -> str:
    """The Python package of LangChain's integration for a spec's provider.

    >>> package("anthropic:claude-sonnet-5")
    'langchain_anthropic'
    """
    provider = spec.partition(":")[0]
    return _PACKAGES.get(provider, f"langchain_{provider}")
