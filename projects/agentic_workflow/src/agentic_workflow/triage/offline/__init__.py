"""Triage without a language model."""
