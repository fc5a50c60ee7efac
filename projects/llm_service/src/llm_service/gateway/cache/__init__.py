"""Answers that are kept for equal requests."""
