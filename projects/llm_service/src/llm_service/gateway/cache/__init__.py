"""Answers of equal and of similar requests."""
