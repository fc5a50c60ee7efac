"""Checks on text: secrets, personal data, prompt injection."""
