"""Captions and answers from what was recognized."""
