"""Checks results and composes the answer from them."""
