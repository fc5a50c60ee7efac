"""Evaluation of quality, and a load generator."""
