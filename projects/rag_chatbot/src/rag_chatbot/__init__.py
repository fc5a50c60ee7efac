"""Answers questions about your documents, with citations that were checked."""

__version__ = "0.1.0"
