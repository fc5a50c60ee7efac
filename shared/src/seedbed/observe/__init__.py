"""Traces, metrics and logs, and what must be set before libraries are imported."""
