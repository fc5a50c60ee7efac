"""Limits on requests: concurrency, budgets, rates."""
