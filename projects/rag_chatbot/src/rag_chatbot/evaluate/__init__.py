"""Measure answers and retrieval on sets of questions."""
