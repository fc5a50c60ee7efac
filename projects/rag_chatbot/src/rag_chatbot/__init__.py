"""Answers questions about your documents, with citations that were checked."""
