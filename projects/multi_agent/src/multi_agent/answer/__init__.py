"""Checks results and makes the answer of them."""
