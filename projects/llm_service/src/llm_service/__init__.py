"""An OpenAI-compatible LLM API with what an operator needs around it."""

__version__ = "0.1.0"
