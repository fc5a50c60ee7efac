"""Spans of quotes that answer a question, by rules."""
