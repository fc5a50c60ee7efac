"""Plug-in: models behind Anthropic's Messages API."""

from llm_service.models.remote.anthropic.backend import AnthropicBackend as BACKEND

__all__ = ["BACKEND"]
