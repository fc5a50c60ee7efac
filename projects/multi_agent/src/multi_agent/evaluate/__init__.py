"""Measures the team."""
