"""Metrics, spans, and the figures of the last minutes."""
