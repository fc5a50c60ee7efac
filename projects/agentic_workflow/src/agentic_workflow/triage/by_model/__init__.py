"""Triage by a language model."""
